-- name: add_experiment
insert into experiments (tenant_id, name, mode, revision, against, share, author, note, started_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, to_timestamp($9::float8))
returning experiment;

-- name: stop_experiment
update experiments set stopped_at = greatest(to_timestamp($3::float8), started_at)
where tenant_id = $1 and name = $2 and stopped_at is null;

-- name: list_running_experiments
select experiment, name, mode, revision, against, share, author, note,
       extract(epoch from started_at)::float8 as started_at,
       extract(epoch from stopped_at)::float8 as stopped_at
from experiments
where tenant_id = $1 and stopped_at is null
order by experiments.experiment;

-- name: list_experiments
select experiment, name, mode, revision, against, share, author, note,
       extract(epoch from started_at)::float8 as started_at,
       extract(epoch from stopped_at)::float8 as stopped_at
from experiments
where tenant_id = $1
order by experiments.experiment desc
limit $2;

-- name: read_experiment
select experiment, name, mode, revision, against, share, author, note,
       extract(epoch from started_at)::float8 as started_at,
       extract(epoch from stopped_at)::float8 as stopped_at
from experiments
where tenant_id = $1 and name = $2;

-- name: list_served_revisions
-- Under which revisions people were shown something, of requests between two ids.
select policy_revision as revision, count(distinct session_hash) as sessions
from events
where tenant_id = $1 and identity_day between $2 and $3 and origin_id >= $4 and origin_id < $5
  and learned and kind = 1
group by policy_revision
order by policy_revision;

-- name: sum_arms
-- Of every arm the sums over its sessions; a session that was in both, as one may be that had begun before,
-- says nothing of either. $6 is the contender, $7 what is compared with it, $8 the feeds that belong to no arm,
-- $9 and $10 the kinds that have a weight, with it.
with done as (
    select session_hash, policy_revision = $6 as contends, kind, count(*) as done
    from events
    where tenant_id = $1 and identity_day between $2 and $3 and origin_id >= $4 and origin_id < $5
      and learned and (policy_revision = $6 or policy_revision = any($7::bigint[]))
      and not feed = any($8::smallint[])
    group by 1, 2, 3
),
sessions as (
    select session_hash, bool_and(contends) as contends, bool_and(contends) = bool_or(contends) as whole,
           coalesce(sum(done) filter (where kind = 1), 0) as impressions,
           coalesce(sum(done * w.weight), 0)::float8 as reward
    from done
    left join unnest($9::smallint[], $10::float8[]) as w (kind, weight) using (kind)
    group by session_hash
)
select contends, whole, count(*) as sessions, sum(impressions)::bigint as impressions,
       count(*) filter (where reward > 0) as rewarded,
       sum(reward)::float8 as reward, sum(reward * reward)::float8 as squares
from sessions
group by contends, whole;

-- name: sum_successes
with done as (
    select session_hash, policy_revision = $6 as contends, kind
    from events
    where tenant_id = $1 and identity_day between $2 and $3 and origin_id >= $4 and origin_id < $5
      and learned and (policy_revision = $6 or policy_revision = any($7::bigint[]))
      and not feed = any($8::smallint[])
),
whole as (
    select session_hash from done group by session_hash having bool_and(contends) = bool_or(contends)
)
select contends, kind, count(*) as done
from done
join whole using (session_hash)
where kind <> 1
group by contends, kind
order by contends, kind;

-- name: first_ledger_day
select min(c.relname) as name
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'events'::regclass;

-- name: add_shadow_decision
insert into shadow_decisions (
    tenant_id, experiment, request_id, market, feed, shadow_feed, postings, shadow_postings, common_count,
    new_count, shadow_new_count, decided_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, to_timestamp($12::float8))
on conflict do nothing;

-- name: sum_shadow_decisions
select feed, shadow_feed, count(*) as compared,
       sum(cardinality(postings))::bigint as shown,
       sum(cardinality(shadow_postings))::bigint as shadow_shown,
       sum(common_count)::bigint as common,
       count(*) filter (where postings = shadow_postings) as equal,
       count(*) filter (where postings[1] is not distinct from shadow_postings[1]) as same_first,
       sum(new_count)::bigint as new_shown,
       sum(shadow_new_count)::bigint as shadow_new_shown
from shadow_decisions
where tenant_id = $1 and experiment = $2
group by feed, shadow_feed
order by feed, shadow_feed;

-- name: forget_shadow_decisions
delete from shadow_decisions
where ctid in (select ctid from shadow_decisions where decided_at < to_timestamp($1::float8) limit $2);

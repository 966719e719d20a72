-- name: lock_decision_partitions
select pg_advisory_xact_lock(hashtextextended('nearcast decision partitions', 0));

-- name: list_decision_partitions
select c.relname as name
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'decisions'::regclass
order by c.relname;

-- name: add_decisions
insert into decisions (tenant_id, identity_day, request_id, record)
select $1, * from unnest($2::date[], $3::uuid[], $4::bytea[])
on conflict (tenant_id, identity_day, request_id) do nothing;

-- name: find_decision
select record from decisions where tenant_id = $1 and identity_day = $2 and request_id = $3;

-- name: list_decision_ids
select request_id from decisions
where tenant_id = $1 and identity_day between $2 and $3 and request_id >= $4 and request_id < $5;

-- name: read_decisions
select request_id, record from decisions
where tenant_id = $1 and identity_day between $2 and $3 and request_id = any($4::uuid[]);

-- name: list_decision_events
-- What was learned from of these requests.
select origin_id, posting, kind from events
where tenant_id = $1 and identity_day between $2 and $3 and origin_id = any($4::uuid[]) and learned;

-- name: count_lost_explorations
-- Requests that explored, as what was seen of them tells: of each of them there must be a record.
select seen.identity_day as day, count(*) as explored, count(*) filter (where d.request_id is null) as lost
from (
    select distinct identity_day, origin_id from events
    where tenant_id = $1 and identity_day between $2 and $3 and origin_id >= $4 and origin_id < $5
      and learned and explore
) seen
left join decisions d
    on d.tenant_id = $1 and d.identity_day = seen.identity_day and d.request_id = seen.origin_id
group by seen.identity_day
order by seen.identity_day;

-- name: count_unlearned_events
select unlearned_reason as reason, count(*) as events from events
where tenant_id = $1 and identity_day between $2 and $3 and not learned
group by 1
order by 1;

-- name: list_feed_sessions
-- Of everybody who saw something, by feed and session: the probability of the feed, and whether it pleased.
select policy_epoch, session_hash, feed, market, scenario % 512, policy_revision,
       min(feed_propensity) as propensity, bool_or(rewards_feed) as rewarded, scenario / 512
from events
where tenant_id = $1 and identity_day between $2 and $3 and origin_id >= $4 and origin_id < $5
  and learned and not explore
group by policy_epoch, session_hash, feed, market, scenario, policy_revision
order by policy_epoch, session_hash, feed, market, scenario, policy_revision;

-- name: list_candidates
-- Items as they are now, and since when they are so; of those that were deleted it is not known.
select posting, item_id, body->>'category', body->>'owner',
       array(select tag->>0 from jsonb_array_elements(body->'tags') tag),
       extract(epoch from updated_at)::float8
from items
where tenant_id = $1 and posting = any($2::bigint[]) and (deleted_at is null or expires_at is not null);

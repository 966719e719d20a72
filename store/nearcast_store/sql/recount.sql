-- Counting again from the ledger's rows. Nothing here is shared with the fold: hours come from the bytes of
-- the id, positions are grouped here, and what is stored is only ever compared.
-- $1 is the first hour that the ledger still holds, $2 a tenant or null for all of them.

-- name: lock_events
-- Before the first look: a day that was dropped between two looks would be there in one of them only.
lock table events in access share mode;

-- name: read_first_day
select min(to_date(right(c.relname, 8), 'YYYYMMDD'))
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'events'::regclass and c.relname ~ '^events_\d{8}$';

-- name: list_summaries
select t.tenant_id, t.slug,
       coalesce(e.events, 0) as events, coalesce(e.learned, 0) as learned, coalesce(e.implied, 0) as implied,
       coalesce(c.counts, 0) as counts, coalesce(c.unchecked, 0) as unchecked
from tenants t
left join (
    select tenant_id, count(*) as events, count(*) filter (where learned) as learned,
           count(*) filter (where implied) as implied
    from events
    group by tenant_id
) e using (tenant_id)
left join (
    select tenant_id, count(*) filter (where bucket >= $1) as counts,
           count(*) filter (where bucket < $1) as unchecked
    from item_counts
    where count <> 0
    group by tenant_id
) c using (tenant_id)
where $2::integer is null or t.tenant_id = $2
order by t.tenant_id;

-- name: list_item_differences
with recounted as (
    select tenant_id, posting, market, kind,
           (('x' || encode(substring(uuid_send(origin_id) for 6), 'hex'))::bit(48)::bigint / 3600000)::integer
               as bucket,
           (case when position < 1 then 0
                 when position <= 20 then position
                 when position <= 30 then 25
                 when position <= 50 then 40
                 else 75 end)::smallint as position_bucket,
           feed, explore, count(*) as recounted_count
    from events
    where learned and ($2::integer is null or tenant_id = $2)
    group by 1, 2, 3, 4, 5, 6, 7, 8
    union all
    -- Impressions below the last act at which people left their answer.
    select i.tenant_id, i.posting, i.market, -1::smallint,
           (('x' || encode(substring(uuid_send(i.origin_id) for 6), 'hex'))::bit(48)::bigint / 3600000)::integer,
           (case when i.position < 1 then 0
                 when i.position <= 20 then i.position
                 when i.position <= 30 then 25
                 when i.position <= 50 then 40
                 else 75 end)::smallint,
           i.feed, i.explore, count(*)
    from events i
    where i.learned and i.cascades and i.kind = 1 and ($2::integer is null or i.tenant_id = $2)
      and i.position > (
          select max(a.position)
          from events a
          where (a.tenant_id, a.identity_day, a.origin_id) = (i.tenant_id, i.identity_day, i.origin_id)
            and a.learned and a.cascades and a.kind <> 1
      )
    group by 1, 2, 3, 4, 5, 6, 7, 8
),
stored as (
    select tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count as stored_count
    from item_counts
    where bucket >= $1 and count <> 0 and ($2::integer is null or tenant_id = $2)
)
select tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, stored_count, recounted_count
from stored
full join recounted using (tenant_id, posting, market, kind, bucket, position_bucket, feed, explore)
where stored_count is distinct from recounted_count
order by 1, 2, 3, 4, 5, 6, 7, 8;

-- name: list_trial_differences
-- A trial stands where and when its session was shown the feed first; one that began before the ledger's
-- first hour cannot be counted again.
with recounted as (
    select tenant_id, policy_epoch, session_hash, feed,
           min(array[
               (('x' || encode(substring(uuid_send(origin_id) for 6), 'hex'))::bit(48)::bigint / 3600000)::integer,
               market,
               scenario / 512
           ]) as first,
           bool_or(kind <> 1) as rewarded
    from events
    where learned and not explore and policy_epoch > 0 and (kind = 1 or rewards_feed)
      and ($2::integer is null or tenant_id = $2)
    group by 1, 2, 3, 4
),
stored as (
    select tenant_id, policy_epoch, session_hash, feed, array[bucket, market, segment] as first, rewarded
    from feed_trials
    where $2::integer is null or tenant_id = $2
)
select tenant_id, policy_epoch, session_hash, feed,
       s.first[1] as stored_bucket, s.first[2] as stored_market, s.first[3] as stored_segment,
       s.rewarded as stored_rewarded,
       r.first[1] as recounted_bucket, r.first[2] as recounted_market, r.first[3] as recounted_segment,
       r.rewarded as recounted_rewarded
from stored s
full join recounted r using (tenant_id, policy_epoch, session_hash, feed)
where (s.first is null or s.first[1] >= $1)
  and (s.first is distinct from r.first or s.rewarded is distinct from r.rewarded)
order by 1, 2, 3, 4;

-- name: list_feed_differences
with trials as (
    select e.tenant_id, e.policy_epoch, e.session_hash, e.feed,
           min(array[
               (('x' || encode(substring(uuid_send(origin_id) for 6), 'hex'))::bit(48)::bigint / 3600000)::integer,
               e.market,
               e.scenario / 512
           ]) as first,
           bool_or(e.kind <> 1) as rewarded
    from events e
    where e.learned and not e.explore and e.policy_epoch > 0 and (e.kind = 1 or e.rewards_feed)
      and ($2::integer is null or e.tenant_id = $2)
      and not exists (
          select from feed_trials t
          where (t.tenant_id, t.policy_epoch, t.session_hash, t.feed)
              = (e.tenant_id, e.policy_epoch, e.session_hash, e.feed)
            and t.bucket < $1
      )
    group by 1, 2, 3, 4
),
recounted as (
    select tenant_id, first[2] as market, feed, first[1] as bucket, first[3] as segment,
           count(*) as recounted_trials, count(*) filter (where rewarded) as recounted_rewards
    from trials
    group by 1, 2, 3, 4, 5
),
stored as (
    select tenant_id, market, feed, bucket, segment, trial_count as stored_trials,
           reward_count as stored_rewards
    from feed_counts
    where bucket >= $1 and (trial_count, reward_count) <> (0, 0) and ($2::integer is null or tenant_id = $2)
)
select tenant_id, market, feed, bucket, segment, stored_trials, stored_rewards, recounted_trials,
       recounted_rewards
from stored
full join recounted using (tenant_id, market, feed, bucket, segment)
where (stored_trials, stored_rewards) is distinct from (recounted_trials, recounted_rewards)
order by 1, 2, 3, 4, 5;

-- name: list_posting_differences
-- Totals are of all days: of those that the ledger holds no more, the counts have to be believed.
with recounted as (
    select tenant_id, posting, kind, sum(counted)::bigint as recounted_count
    from (
        select tenant_id, posting, kind, count(*) as counted
        from events
        where learned and ($2::integer is null or tenant_id = $2)
        group by tenant_id, posting, kind
        union all
        select tenant_id, posting, kind, sum(count)
        from item_counts
        where kind > 0 and bucket < $1 and ($2::integer is null or tenant_id = $2)
        group by tenant_id, posting, kind
    ) parts
    group by tenant_id, posting, kind
    having sum(counted) <> 0
),
stored as (
    select tenant_id, posting, kind, count as stored_count
    from posting_totals
    where count <> 0 and ($2::integer is null or tenant_id = $2)
)
select tenant_id, posting, kind, stored_count, recounted_count
from stored
full join recounted using (tenant_id, posting, kind)
where stored_count is distinct from recounted_count
order by 1, 2, 3;

-- name: list_kind_differences
with recounted as (
    select tenant_id, kind, sum(counted)::bigint as recounted_count
    from (
        select tenant_id, kind, count(*) as counted
        from events
        where learned and ($2::integer is null or tenant_id = $2)
        group by tenant_id, kind
        union all
        select tenant_id, kind, sum(count)
        from item_counts
        where kind > 0 and bucket < $1 and ($2::integer is null or tenant_id = $2)
        group by tenant_id, kind
    ) parts
    group by tenant_id, kind
    having sum(counted) <> 0
),
stored as (
    select tenant_id, kind, count as stored_count
    from kind_totals
    where count <> 0 and ($2::integer is null or tenant_id = $2)
)
select tenant_id, kind, stored_count, recounted_count
from stored
full join recounted using (tenant_id, kind)
where stored_count is distinct from recounted_count
order by 1, 2;

-- name: list_missing_impressions
-- What somebody acted on was seen: reported or implied, the ledger holds its impression.
select e.tenant_id, e.identity_day, e.origin_id, e.posting, e.kind,
       0 as stored_impressions, 1 as recounted_impressions
from events e
where e.learned and e.kind <> 1 and $1::integer is not null and ($2::integer is null or e.tenant_id = $2)
  and not exists (
      select from events i
      where (i.tenant_id, i.identity_day, i.origin_id, i.posting, i.identity_kind)
          = (e.tenant_id, e.identity_day, e.origin_id, e.posting, 1)
  )
order by 1, 2, 3, 4, 5;

-- name: list_excess_rewards
select tenant_id, market, feed, bucket, segment, reward_count as stored_rewards,
       trial_count as recounted_rewards
from feed_counts
where reward_count > trial_count and $1::integer is not null and ($2::integer is null or tenant_id = $2)
order by 1, 2, 3, 4;

-- name: list_unbalanced_positions
select tenant_id, shard, accepted_count as stored_accepted,
       counted_count + duplicate_count + dead_count as recounted_accepted
from log_positions
where (
        accepted_count <> counted_count + duplicate_count + dead_count
        or least(accepted_count, counted_count, duplicate_count, dead_count) < 0
    )
  and $1::integer is not null and ($2::integer is null or tenant_id = $2)
order by 1, 2;

-- name: list_uncounted_events
-- Rows of dropped days are gone, so there may be fewer of them than were counted, never more.
select tenant_id, coalesce(p.counted, 0) as stored_events, e.reported as recounted_events
from (select tenant_id, count(*) filter (where not implied) as reported from events group by tenant_id) e
left join (select tenant_id, sum(counted_count)::bigint as counted from log_positions group by tenant_id) p
    using (tenant_id)
where e.reported > coalesce(p.counted, 0)
  and $1::integer is not null and ($2::integer is null or tenant_id = $2)
order by 1;

-- name: list_uncounted_letters
select tenant_id, shard, coalesce(p.dead_count, 0) as stored_letters, d.letters as recounted_letters
from (select tenant_id, shard, count(*) as letters from dead_letters group by tenant_id, shard) d
left join log_positions p using (tenant_id, shard)
where d.letters > coalesce(p.dead_count, 0)
  and $1::integer is not null and ($2::integer is null or tenant_id = $2)
order by 1, 2;

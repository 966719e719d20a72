-- Correcting the counts. What a fold adds to the ledger and to the counts it adds in one transaction, so what
-- the counts are off by does not change while keepers fold: it is found without a lock and put right in one. It
-- does not change either while the hours of a day that is gone are summed, as all that is looked at are sums.

-- name: create_item_corrections
create temporary table if not exists item_corrections (
    tenant_id integer, posting bigint, market integer, kind smallint, bucket integer, position_bucket smallint,
    feed smallint, explore boolean, stored_count bigint, recounted_count bigint
);

-- name: create_wrong_trials
create temporary table if not exists wrong_trials (
    tenant_id integer, policy_epoch bigint, session_hash bytea, feed smallint
);

-- name: create_total_corrections
create temporary table if not exists total_corrections (
    tenant_id integer, posting bigint, kind smallint, missing bigint
);

-- name: create_total_differences
create temporary table if not exists total_differences (
    tenant_id integer, posting bigint, kind smallint, missing bigint
);

-- name: empty_corrections
truncate item_corrections, wrong_trials, total_differences, total_corrections;

-- name: list_total_differences
-- Of single postings, and of whole kinds without one, from what the counts are now. What was passed over is not
-- summed: it is no kind of event.
with differences as (
    select tenant_id, posting, kind, count
    from item_counts
    where kind > 0 and ($1::integer is null or tenant_id = $1)
    union all
    select tenant_id, null, kind, count
    from item_counts
    where kind > 0 and ($1::integer is null or tenant_id = $1)
    union all
    select tenant_id, posting, kind, -count from posting_totals where $1::integer is null or tenant_id = $1
    union all
    select tenant_id, null, kind, -count from kind_totals where $1::integer is null or tenant_id = $1
)
select tenant_id, posting, kind, sum(count)::bigint as missing
from differences
group by tenant_id, posting, kind
having sum(count) <> 0;

-- name: find_total_corrections
-- From what the counts will be once corrected.
insert into total_corrections
with item_changes as (
    select tenant_id, posting, kind, coalesce(recounted_count, 0) - coalesce(stored_count, 0) as missing
    from item_corrections
    where kind > 0
),
parts as (
    select tenant_id, posting, kind, missing from total_differences
    union all
    select tenant_id, posting, kind, missing from item_changes
    union all
    select tenant_id, null, kind, missing from item_changes
)
select tenant_id, posting, kind, sum(missing)
from parts
group by tenant_id, posting, kind
having sum(missing) <> 0;

-- name: lock_counts
-- In the order of a fold: it finishes first, or waits with its rows uncommitted and so unseen here.
lock table item_counts, posting_totals, kind_totals, feed_trials, feed_counts in share row exclusive mode;

-- name: correct_counts
update item_counts as kept set
    count = kept.count + coalesce(c.recounted_count, 0) - coalesce(c.stored_count, 0),
    changed_xid = pg_current_xact_id()
from item_corrections c
where (kept.tenant_id, kept.posting, kept.market, kept.kind, kept.bucket, kept.position_bucket, kept.feed,
       kept.explore)
    = (c.tenant_id, c.posting, c.market, c.kind, c.bucket, c.position_bucket, c.feed, c.explore);

-- name: add_missing_counts
insert into item_counts (tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count)
select tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, recounted_count
from item_corrections
where recounted_count > 0
on conflict do nothing;

-- name: correct_posting_totals
update posting_totals as kept set count = kept.count + c.missing
from total_corrections c
where (kept.tenant_id, kept.posting, kept.kind) = (c.tenant_id, c.posting, c.kind);

-- name: add_missing_posting_totals
insert into posting_totals (tenant_id, posting, kind, count)
select tenant_id, posting, kind, missing from total_corrections where posting is not null and missing > 0
on conflict do nothing;

-- name: correct_kind_totals
update kind_totals as kept set count = kept.count + c.missing
from total_corrections c
where (kept.tenant_id, kept.kind) = (c.tenant_id, c.kind) and c.posting is null;

-- name: add_missing_kind_totals
insert into kind_totals (tenant_id, kind, count)
select tenant_id, kind, missing from total_corrections where posting is null and missing > 0
on conflict do nothing;

-- name: drop_wrong_trials
delete from feed_trials t
using wrong_trials w
where (t.tenant_id, t.policy_epoch, t.session_hash, t.feed)
    = (w.tenant_id, w.policy_epoch, w.session_hash, w.feed);

-- name: add_right_trials
insert into feed_trials (tenant_id, policy_epoch, session_hash, feed, bucket, market, segment, rewarded)
select tenant_id, policy_epoch, session_hash, feed, first[1], first[2], first[3], rewarded
from (
    select e.tenant_id, e.policy_epoch, e.session_hash, e.feed,
           min(array[
               (('x' || encode(substring(uuid_send(origin_id) for 6), 'hex'))::bit(48)::bigint / 3600000)::integer,
               e.market,
               e.scenario / 512
           ]) as first,
           bool_or(e.kind <> 1) as rewarded
    from events e
    join wrong_trials w using (tenant_id, policy_epoch, session_hash, feed)
    where e.learned and not e.explore and e.policy_epoch > 0 and (e.kind = 1 or e.rewards_feed)
    group by 1, 2, 3, 4
) recounted;

-- name: correct_feed_counts
insert into feed_counts as kept (tenant_id, market, feed, bucket, segment, trial_count, reward_count)
select tenant_id, market, feed, bucket, segment, count(*), count(*) filter (where rewarded)
from feed_trials
where bucket >= $1 and ($2::integer is null or tenant_id = $2)
group by tenant_id, market, feed, bucket, segment
on conflict (tenant_id, market, feed, bucket, segment) do update set
    trial_count = excluded.trial_count, reward_count = excluded.reward_count
where (kept.trial_count, kept.reward_count) <> (excluded.trial_count, excluded.reward_count);

-- name: clear_feed_counts
update feed_counts f set trial_count = 0, reward_count = 0
where f.bucket >= $1 and ($2::integer is null or f.tenant_id = $2) and (f.trial_count, f.reward_count) <> (0, 0)
  and not exists (
      select from feed_trials t
      where (t.tenant_id, t.market, t.feed, t.bucket, t.segment)
          = (f.tenant_id, f.market, f.feed, f.bucket, f.segment)
  );

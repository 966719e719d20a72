-- The hours of a day become one, which is counted as the hour of its noon: only sums move, within their day.

-- name: find_day
-- The oldest day that the ledger holds before this one.
select min(day)
from (
    select to_date(right(c.relname, 8), 'YYYYMMDD') as day
    from pg_inherits i
    join pg_class c on c.oid = i.inhrelid
    where i.inhparent = 'events'::regclass and c.relname ~ '^events_\d{8}$'
) held
where day < $1;

-- name: read_clock
select extract(epoch from now())::float8;

-- name: note_drop
insert into compactions (day) values ($1);

-- name: list_unsummed
select day from compactions where compacted_at is null order by day;

-- name: find_next_posting
-- As far as so many rows of counts reach; null if that is beyond the last one.
select posting from item_counts where tenant_id = $1 and posting > $2 order by posting offset $3 limit 1;

-- name: find_next_served_posting
select posting from served_counts where tenant_id = $1 and posting > $2 order by posting offset $3 limit 1;

-- name: sum_hours
-- Of the postings above $2 up to $3, the hours from $4 to $5. Locked before they are read: whoever else adds to
-- them or sums them does so wholly before or after.
with hours as materialized (
    select tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count
    from item_counts
    where tenant_id = $1 and posting > $2 and posting <= $3
      and bucket between $4 and $5 and bucket % 24 <> 12 and count <> 0
    order by posting, market, kind, bucket, position_bucket, feed, explore
    for update
),
emptied as (
    update item_counts kept set count = 0, changed_xid = pg_current_xact_id()
    from hours h
    where (kept.tenant_id, kept.posting, kept.market, kept.kind, kept.bucket, kept.position_bucket, kept.feed,
           kept.explore)
        = (h.tenant_id, h.posting, h.market, h.kind, h.bucket, h.position_bucket, h.feed, h.explore)
),
summed as (
    insert into item_counts as kept (
        tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count
    )
    select tenant_id, posting, market, kind, bucket - bucket % 24 + 12, position_bucket, feed, explore, sum(count)
    from hours
    group by 1, 2, 3, 4, 5, 6, 7, 8
    order by 1, 2, 3, 4, 5, 6, 7, 8
    on conflict (tenant_id, posting, market, kind, bucket, position_bucket, feed, explore) do update set
        count = kept.count + excluded.count,
        changed_xid = pg_current_xact_id()
)
select count(*) from hours;

-- name: sum_served_hours
with gone as (
    delete from served_counts
    where tenant_id = $1 and posting > $2 and posting <= $3
      and bucket between $4 and $5 and bucket % 24 <> 12
    returning tenant_id, posting, market, bucket, position_bucket, feed, explore, count
),
summed as (
    insert into served_counts as kept (
        tenant_id, posting, market, bucket, position_bucket, feed, explore, count
    )
    select tenant_id, posting, market, bucket - bucket % 24 + 12, position_bucket, feed, explore, sum(count)
    from gone
    group by 1, 2, 3, 4, 5, 6, 7
    on conflict (tenant_id, posting, market, bucket, position_bucket, feed, explore) do update set
        count = kept.count + excluded.count
)
select count(*) from gone;

-- name: list_feed_hours
select tenant_id, bucket from feed_counts where bucket between $1 and $2 and bucket % 24 <> 12
union
select tr.tenant_id, tr.bucket
from tenants te
join feed_trials tr using (tenant_id)
where tr.bucket between $1 and $2 and tr.bucket % 24 <> 12
order by 1, 2;

-- name: lock_trials_table
-- What a late reward adds to must be where its trial is counted, so both move while no fold looks.
lock table feed_trials in share row exclusive mode;

-- name: move_trials
update feed_trials set bucket = bucket - bucket % 24 + 12 where tenant_id = $1 and bucket = $2;

-- name: sum_feed_hour
with gone as (
    delete from feed_counts where tenant_id = $1 and bucket = $2
    returning tenant_id, market, feed, bucket, segment, trial_count, reward_count
),
summed as (
    insert into feed_counts as kept (tenant_id, market, feed, bucket, segment, trial_count, reward_count)
    select tenant_id, market, feed, bucket - bucket % 24 + 12, segment, trial_count, reward_count
    from gone
    on conflict (tenant_id, market, feed, bucket, segment) do update set
        trial_count = kept.trial_count + excluded.trial_count,
        reward_count = kept.reward_count + excluded.reward_count
)
select count(*) from gone;

-- name: note_compaction
update compactions set xid = pg_current_xact_id(), compacted_at = now()
where day = any($1::date[]) and compacted_at is null;

-- name: list_uncleared
select day from compactions
where cleared_at is null and compacted_at < now() - make_interval(secs => $1)
order by day;

-- name: begin_clearing
-- Committed before the first zero goes: who has not heard of all of them must be able to tell.
update compactions set clearing_at = now() where day = $1 and clearing_at is null;

-- name: clear_hours
delete from item_counts
where tenant_id = $1 and posting > $2 and posting <= $3 and bucket between $4 and $5 and count = 0
  and changed_xid <= (select xid from compactions where day = $6);

-- name: note_clearing
update compactions set cleared_at = now() where day = $1;

-- name: list_replaced_epochs
-- The first epoch of each tenant that may still have sessions in it: those before were replaced long ago.
select tenant_id, max(epoch) as epoch
from policy_epochs
where published_at < $1
group by tenant_id
order by tenant_id;

-- name: prune_trials
delete from feed_trials
where ctid = any(array(select ctid from feed_trials where tenant_id = $1 and policy_epoch < $2 limit $3));

-- name: list_all_tenants
select tenant_id from tenants order by tenant_id;

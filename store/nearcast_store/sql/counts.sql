-- name: add_counts
-- Of the events that were staged and are new; sorted by the key, as whatever else is written here.
insert into item_counts as kept (
    tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count
)
select tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count(*)
from staged_events
where learned and bucket is not null
group by tenant_id, posting, market, kind, bucket, position_bucket, feed, explore
order by tenant_id, posting, market, kind, bucket, position_bucket, feed, explore
on conflict (tenant_id, posting, market, kind, bucket, position_bucket, feed, explore) do update set
    count = kept.count + excluded.count,
    changed_xid = pg_current_xact_id();

-- name: add_posting_totals
insert into posting_totals as kept (tenant_id, posting, kind, count)
select tenant_id, posting, kind, count(*)
from staged_events
where learned and bucket is not null
group by tenant_id, posting, kind
order by tenant_id, posting, kind
on conflict (tenant_id, posting, kind) do update set count = kept.count + excluded.count;

-- name: add_kind_totals
insert into kind_totals as kept (tenant_id, kind, count)
select tenant_id, kind, count(*)
from staged_events
where learned and bucket is not null
group by tenant_id, kind
order by tenant_id, kind
on conflict (tenant_id, kind) do update set count = kept.count + excluded.count;

-- name: read_horizon
select pg_snapshot_xmin(pg_current_snapshot());

-- name: list_counts
select posting, market, kind, bucket, position_bucket, feed, explore, count
from item_counts
where tenant_id = $1
  and (posting, market, kind, bucket, position_bucket, feed, explore)
    > ($3::bigint, $4::integer, $5::smallint, $6::integer, $7::smallint, $8::smallint, $9::boolean)
order by posting, market, kind, bucket, position_bucket, feed, explore
limit $2;

-- name: list_changed_counts
-- What changed is found before it is sorted: going through all counts in their order would find it too, and a
-- planner that takes the limit for a promise would.
with changed as materialized (
    select posting, market, kind, bucket, position_bucket, feed, explore, count
    from item_counts
    where tenant_id = $1 and changed_xid >= $3::xid8
)
select * from changed
order by posting, market, kind, bucket, position_bucket, feed, explore
limit $2;

-- name: list_more_changed_counts
-- So much changed that the first part did not hold it.
select posting, market, kind, bucket, position_bucket, feed, explore, count
from item_counts
where tenant_id = $1 and changed_xid >= $3::xid8
  and (posting, market, kind, bucket, position_bucket, feed, explore)
    > ($4::bigint, $5::integer, $6::smallint, $7::integer, $8::smallint, $9::smallint, $10::boolean)
order by posting, market, kind, bucket, position_bucket, feed, explore
limit $2;

-- name: list_counts_of_postings
select posting, market, kind, bucket, position_bucket, feed, explore, count
from item_counts
where tenant_id = $1 and posting = any($2::bigint[]);

-- name: list_changed_postings
select distinct posting
from item_counts
where tenant_id = $1 and changed_xid >= $2::xid8 and posting > $3
order by posting
limit $4;

-- name: sum_counts_of_postings
select posting, kind, sum(count)::bigint as total
from item_counts
where tenant_id = $1 and posting = any($2::bigint[])
group by posting, kind;

-- name: list_top_postings
select posting
from posting_totals
where tenant_id = $1 and kind = $2
order by count desc, posting
limit $3;

-- name: list_kind_totals
select kind, count from kind_totals where tenant_id = $1;

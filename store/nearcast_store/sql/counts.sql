-- name: add_counts
insert into item_counts as kept (
    tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count
)
select * from unnest(
    $1::integer[], $2::bigint[], $3::integer[], $4::smallint[], $5::integer[], $6::smallint[], $7::smallint[],
    $8::boolean[], $9::bigint[]
)
on conflict (tenant_id, posting, market, kind, bucket, position_bucket, feed, explore) do update set
    count = kept.count + excluded.count,
    changed_xid = pg_current_xact_id();

-- name: read_horizon
select pg_snapshot_xmin(pg_current_snapshot());

-- name: list_counts
select posting, market, kind, bucket, position_bucket, feed, explore, count
from item_counts
where tenant_id = $1;

-- name: list_changed_counts
select posting, market, kind, bucket, position_bucket, feed, explore, count
from item_counts
where tenant_id = $1 and changed_xid >= $2::xid8;

-- name: list_counts_of_postings
select posting, market, kind, bucket, position_bucket, feed, explore, count
from item_counts
where tenant_id = $1 and posting = any($2::bigint[]);

-- name: list_top_postings
select posting
from item_counts
where tenant_id = $1 and kind = $2
group by posting
order by sum(count) desc, posting
limit $3;

-- name: sum_counts
select kind, sum(count)::bigint as total from item_counts where tenant_id = $1 group by kind;

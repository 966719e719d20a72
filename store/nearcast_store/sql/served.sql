-- name: add_served
insert into served_counts as kept (
    tenant_id, posting, market, bucket, position_bucket, feed, explore, count
)
select * from unnest(
    $1::integer[], $2::bigint[], $3::integer[], $4::integer[], $5::smallint[], $6::smallint[], $7::boolean[],
    $8::bigint[]
)
on conflict (tenant_id, posting, market, bucket, position_bucket, feed, explore) do update set
    count = kept.count + excluded.count;

-- name: sum_served_of_postings
select posting, sum(count)::bigint as total
from served_counts
where tenant_id = $1 and posting = any($2::bigint[])
group by posting;

-- name: sum_served_by_position
select posting, position_bucket, sum(count)::bigint as total
from served_counts
where tenant_id = $1 and posting = any($2::bigint[])
group by posting, position_bucket
order by posting, position_bucket;

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

-- name: lock_cascades
-- Whoever counts answers of this tenant that are read until a success comes after all who did before: it sees
-- the rows that they stored. Taken last, when nothing else is waited for but this.
select pg_advisory_xact_lock(hashtextextended('nearcast cascades', $1::integer));

-- name: count_passed_over
-- Of the answers that new events are about: what is passed over now less what was passed over without them. The
-- answers' rows say both, so it does not matter in which order they come.
with touched as materialized (
    select distinct tenant_id, identity_day, origin_id, bucket from staged_events where learned and cascades
),
answers as materialized (
    select e.tenant_id, e.identity_day, e.origin_id, t.bucket, e.posting, e.market, e.kind, e.position, e.feed,
           e.explore, s.tenant_id is not null as is_new
    from touched t
    join events e using (tenant_id, identity_day, origin_id)
    left join staged_events s
        on s.learned
        and (s.tenant_id, s.identity_day, s.origin_id, s.posting, s.identity_kind)
            = (e.tenant_id, e.identity_day, e.origin_id, e.posting, e.identity_kind)
    where e.learned and e.cascades
),
lowest as (
    select tenant_id, identity_day, origin_id,
           max(position) filter (where kind <> 1) as now_at,
           max(position) filter (where kind <> 1 and not is_new) as before_at
    from answers
    group by tenant_id, identity_day, origin_id
),
changes as materialized (
    select tenant_id, posting, market, bucket,
           (case when position < 1 then 0
                 when position <= 20 then position
                 when position <= 30 then 25
                 when position <= 50 then 40
                 else 75 end)::smallint as position_bucket,
           feed, explore,
           count(*) filter (where position > now_at)
               - count(*) filter (where position > before_at and not is_new) as passed
    from answers
    join lowest using (tenant_id, identity_day, origin_id)
    where kind = 1
    group by 1, 2, 3, 4, 5, 6, 7
),
added as (
    insert into item_counts as kept (
        tenant_id, posting, market, kind, bucket, position_bucket, feed, explore, count
    )
    select tenant_id, posting, market, -1, bucket, position_bucket, feed, explore, passed
    from changes
    where passed > 0
    order by 1, 2, 3, 4, 5, 6, 7, 8
    on conflict (tenant_id, posting, market, kind, bucket, position_bucket, feed, explore) do update set
        count = kept.count + excluded.count,
        changed_xid = pg_current_xact_id()
)
-- Never below nothing, whatever else has spoiled a count: a fold must not fail for it.
update item_counts as kept set count = greatest(kept.count + c.passed, 0), changed_xid = pg_current_xact_id()
from changes c
where c.passed < 0
  and (kept.tenant_id, kept.posting, kept.market, kept.kind, kept.bucket, kept.position_bucket, kept.feed,
       kept.explore)
    = (c.tenant_id, c.posting, c.market, -1, c.bucket, c.position_bucket, c.feed, c.explore);

-- name: read_horizon
select pg_snapshot_xmin(pg_current_snapshot());

-- name: list_counts
select array_send(array_agg(posting)), array_send(array_agg(market)), array_send(array_agg(kind)),
       array_send(array_agg(bucket)), array_send(array_agg(position_bucket)), array_send(array_agg(feed)),
       array_send(array_agg(explore)), array_send(array_agg(count))
from (
    select posting, market, kind, bucket, position_bucket, feed, explore, count
    from item_counts
    where tenant_id = $1
      and (posting, market, kind, bucket, position_bucket, feed, explore)
        > ($3::bigint, $4::integer, $5::smallint, $6::integer, $7::smallint, $8::smallint, $9::boolean)
    order by posting, market, kind, bucket, position_bucket, feed, explore
    limit $2
) page;

-- name: list_changed_counts
-- All in one look: where the next one begins, and what has changed since the last, or whether all counts must be
-- read. The changes of one count stand in the order of their ids, and none is read without those after it. A
-- horizon in the future is another server's, or this one's before it was restored; so is what was dropped there.
with look as materialized (
    select pg_snapshot_xmin(pg_current_snapshot()) as horizon, pg_snapshot_xmax(pg_current_snapshot()) as future
),
first as materialized (
    select min(change_id) as change_id from count_changes where tenant_id = $1 and xid >= $2::xid8
),
told as materialized (
    select horizon,
           $2::xid8 is null or $2::xid8 > horizon
           or exists (
               select from count_changes_dropped
               where tenant_id = $1 and xid >= $2::xid8 and xid < future
           )
           or exists (select from compactions where clearing_at is not null and xid >= $2::xid8 and xid < future)
           or (
               select sum(size) from count_changes
               where tenant_id = $1 and change_id >= (select change_id from first)
           ) > $3 as complete
    from look
)
select told.horizon, coalesce(told.complete, false) as complete,
       array_send(c.postings), array_send(c.markets), array_send(c.kinds), array_send(c.buckets),
       array_send(c.position_buckets), array_send(c.feeds), array_send(c.explores), array_send(c.counts)
from told
left join count_changes c
    on told.complete is not true and c.tenant_id = $1 and c.change_id >= (select change_id from first)
order by c.change_id;

-- name: list_counts_of_postings
select posting, market, kind, bucket, position_bucket, feed, explore, count
from item_counts
where tenant_id = $1 and posting = any($2::bigint[]);

-- name: list_changed_postings
select distinct posting
from count_changes, unnest(postings) as posting
where tenant_id = $1 and xid >= $2::xid8 and posting > $3
order by posting
limit $4;

-- name: has_dropped_changes
-- Whether something of what changed since that horizon can no longer be told.
select exists (
    select from count_changes_dropped
    where tenant_id = $1 and xid >= $2::xid8 and xid < pg_snapshot_xmax(pg_current_snapshot())
);

-- name: list_postings
select distinct posting
from posting_totals
where tenant_id = $1 and posting > $2
order by posting
limit $3;

-- name: drop_changes
-- Of every tenant, all that stand before the last one that is older than so many seconds. A transaction that is
-- still to come is another server's, from before a restore.
with last as materialized (
    select tenant_id, max(change_id) as change_id
    from count_changes
    where noted_at < now() - make_interval(secs => $1)
    group by tenant_id
),
gone as (
    delete from count_changes c using last
    where c.tenant_id = last.tenant_id and c.change_id <= last.change_id
    returning c.tenant_id, c.xid
),
noted as (
    insert into count_changes_dropped as kept (tenant_id, xid)
    select tenant_id, max(xid) from gone
    where xid < pg_snapshot_xmax(pg_current_snapshot())
    group by tenant_id
    order by tenant_id
    on conflict (tenant_id) do update set xid = case
        when kept.xid < pg_snapshot_xmax(pg_current_snapshot()) then greatest(kept.xid, excluded.xid)
        else excluded.xid
    end
)
select count(*) from gone;

-- name: sum_counts_of_postings
select posting, kind, sum(count)::bigint as total
from item_counts
where tenant_id = $1 and posting = any($2::bigint[])
group by posting, kind;

-- name: sum_shuffled_counts
select market, bucket / 24 as day, position_bucket,
       coalesce(sum(count) filter (where kind = 1), 0)::bigint as impressions,
       coalesce(sum(count) filter (where kind = any($3::smallint[])), 0)::bigint as successes
from item_counts
where tenant_id = $1 and explore and position_bucket > 0 and bucket >= $2
  and (kind = 1 or kind = any($3::smallint[]))
group by 1, 2, 3
having sum(count) filter (where kind = 1) > 0
order by 1, 2, 3;

-- name: sample_impressions
-- Of postings that lie evenly among all that were ever shown, what they were shown in the last hours.
with ends as (
    select (select min(posting) from posting_totals where tenant_id = $1 and kind = 1) as first,
           (select max(posting) from posting_totals where tenant_id = $1 and kind = 1) as last
),
sampled as (
    select distinct near.posting
    from ends, generate_series(0, $3::integer - 1) n,
    lateral (
        select posting
        from posting_totals
        where tenant_id = $1 and kind = 1
          and posting >= ends.first + case when ends.last - ends.first < $3 then n
                                           else (ends.last - ends.first) / $3 * n end
        order by posting
        limit 1
    ) near
),
clock as (
    select floor(extract(epoch from now()) / 3600)::integer as hour
)
select posting, market, sum(count)::bigint as impressions,
       least($2::integer, max(clock.hour - bucket) + 1) as hours
from clock, sampled
join item_counts using (posting)
where tenant_id = $1 and kind = 1 and bucket > clock.hour - $2::integer
group by posting, market
having sum(count) > 0;

-- name: list_top_postings
-- Those of the first orders of magnitude, as far as so many reach, and then by their counts.
select posting
from posting_totals
where tenant_id = $1 and kind = $2
  and magnitude >= coalesce((
      select magnitude from posting_totals where tenant_id = $1 and kind = $2
      order by magnitude desc offset greatest($3 - 1, 0) limit 1
  ), 0)
order by count desc, posting
limit $3;

-- name: list_kind_totals
select kind, count from kind_totals where tenant_id = $1;

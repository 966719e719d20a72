-- A writer locks the ids it writes before it is given a transaction id, so that of two writers of one id the
-- later has the higher transaction id: the outbox is numbered by it. Lock 0 of a tenant is held shared by
-- writers of a few items, who lock buckets of ids too, and alone by writers of many.

-- name: lock_items
with gate as materialized (select pg_advisory_xact_lock_shared($1, 0))
select pg_advisory_xact_lock($1, bucket)
from gate, unnest($2::integer[]) as bucket;

-- name: lock_catalogue
select pg_advisory_xact_lock($1, 0);

-- name: read_items
select item_id, posting, version, etag, body, market,
       extract(epoch from born_at)::float8 as born_at,
       extract(epoch from updated_at)::float8 as updated_at,
       extract(epoch from deleted_at)::float8 as ended_at,
       -- An item that expired by itself keeps its expires_at.
       deleted_at is not null and expires_at is null as deleted
from items
where tenant_id = $1 and item_id = any($2::text[]);

-- name: page_items
select item_id, posting, version, etag, body, market,
       extract(epoch from born_at)::float8 as born_at,
       extract(epoch from updated_at)::float8 as updated_at,
       extract(epoch from deleted_at)::float8 as ended_at,
       false as deleted
from items
where tenant_id = $1 and item_id > $2
  and case when $4 then deleted_at is null or expires_at is not null
           else deleted_at is null and (expires_at is null or expires_at > to_timestamp($5::float8)) end
order by item_id
limit $3;

-- name: next_postings
select nextval('posting_numbers') from generate_series(1, $1::integer);

-- name: write_items
insert into items as kept (
    tenant_id, item_id, posting, version, etag, body, market, born_at, updated_at, expires_at, deleted_at
)
select $1, w.item_id, w.posting, w.version, w.etag, w.body::jsonb, w.market,
       to_timestamp(w.born_at), to_timestamp(w.updated_at), to_timestamp(w.expires_at), to_timestamp(w.ended_at)
from unnest(
    $2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::integer[],
    $8::float8[], $9::float8[], $10::float8[], $11::float8[]
) as w (item_id, posting, version, etag, body, market, born_at, updated_at, expires_at, ended_at)
on conflict (tenant_id, item_id) do update set
    posting = excluded.posting, version = excluded.version, etag = excluded.etag, body = excluded.body,
    market = excluded.market, born_at = excluded.born_at, updated_at = excluded.updated_at,
    expires_at = excluded.expires_at, deleted_at = excluded.deleted_at;

-- name: move_items
update items set market = m.market
from unnest($2::text[], $3::integer[]) as m (item_id, market)
where items.tenant_id = $1 and items.item_id = m.item_id;

-- name: find_tenants_with_expired_items
select distinct tenant_id from items
where expires_at <= to_timestamp($1::float8) and deleted_at is null;

-- name: end_expired_items
with expired as (
    select item_id from items
    where tenant_id = $1 and expires_at <= to_timestamp($2::float8) and deleted_at is null
    limit $3
), ended as (
    update items set deleted_at = expires_at
    from expired
    where items.tenant_id = $1 and items.item_id = expired.item_id
    returning items.posting, items.expires_at
), closed as (
    update postings set ended_at = ended.expires_at
    from ended
    where postings.tenant_id = $1 and postings.posting = ended.posting
)
insert into outbox (tenant_id, posting)
select $1, posting from ended;

-- name: find_tenants_with_tombstones
select distinct tenant_id from items where deleted_at < to_timestamp($1::float8);

-- name: forget_tombstones
delete from items where tenant_id = $1 and deleted_at < to_timestamp($2::float8);

-- name: read_current_postings
select item_id, posting from items
where tenant_id = $1 and item_id = any($2::text[]) and (deleted_at is null or expires_at is not null);

-- name: read_live_items
select item_id, posting, version, etag, body, market,
       extract(epoch from born_at)::float8 as born_at,
       extract(epoch from updated_at)::float8 as updated_at,
       null::float8 as ended_at,
       false as deleted
from items
where tenant_id = $1 and posting > $2 and deleted_at is null
order by posting
limit $3;

-- name: count_by_market
select market, count(*) as count from items where tenant_id = $1 and deleted_at is null group by market;

-- name: list_live_regions
select i.posting, i.market, p.category
from items i
join postings p using (tenant_id, posting)
where i.tenant_id = $1 and i.deleted_at is null
  and (i.expires_at is null or i.expires_at > to_timestamp($2::float8))
order by i.posting;

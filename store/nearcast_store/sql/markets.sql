-- name: read_markets
select market_id, number, display_name, priority, disabled, geometry, deleted_at is not null as deleted,
       extract(epoch from created_at)::float8 as created_at,
       extract(epoch from updated_at)::float8 as updated_at
from markets
where tenant_id = $1 and market_id = any($2::text[]);

-- name: count_markets
select count(*) from markets where tenant_id = $1 and deleted_at is null;

-- name: list_market_numbers
select number from slugs where tenant_id = $1 and realm = 'market';

-- name: page_markets
select market_id, number, display_name, priority, disabled,
       case when $4 then geometry else '' end as geometry, false as deleted,
       extract(epoch from created_at)::float8 as created_at,
       extract(epoch from updated_at)::float8 as updated_at
from markets
where tenant_id = $1 and market_id > $2 and deleted_at is null
order by market_id
limit $3;

-- name: write_markets
insert into markets as kept (
    tenant_id, number, market_id, display_name, priority, disabled, geometry, area, created_at, updated_at
)
select $1, w.number, w.market_id, w.display_name, w.priority, w.disabled, w.geometry, w.area,
       to_timestamp(w.created_at), to_timestamp(w.updated_at)
from unnest(
    $2::integer[], $3::text[], $4::text[], $5::integer[], $6::boolean[], $7::text[], $8::bytea[],
    $9::float8[], $10::float8[]
) as w (number, market_id, display_name, priority, disabled, geometry, area, created_at, updated_at)
on conflict (tenant_id, market_id) do update set
    display_name = excluded.display_name, priority = excluded.priority, disabled = excluded.disabled,
    geometry = excluded.geometry, area = excluded.area, updated_at = excluded.updated_at, deleted_at = null;

-- name: delete_markets
update markets set deleted_at = to_timestamp($3::float8), updated_at = to_timestamp($3::float8),
       geometry = '', area = ''
where tenant_id = $1 and number = any($2::integer[]);

-- name: move_borders
insert into market_revisions as kept (tenant_id, revision) values ($1, 1)
on conflict (tenant_id) do update set revision = kept.revision + 1;

-- name: read_market_revision
select coalesce((select revision from market_revisions where tenant_id = $1), 0);

-- name: read_atlas
select r.revision, m.number, m.market_id, m.priority, m.area
from market_revisions r
left join markets m on m.tenant_id = r.tenant_id and m.deleted_at is null and not m.disabled
where r.tenant_id = $1;

-- name: find_tenants_to_place
select tenant_id from market_revisions where placed_revision < revision order by tenant_id;

-- name: read_placing
select case when placing_revision = revision then placed_posting else 0 end
from market_revisions
where tenant_id = $1 and placed_revision < revision;

-- name: note_placing
update market_revisions set placing_revision = $2, placed_posting = $3,
       placed_revision = case when $4 then $2 else placed_revision end
where tenant_id = $1;

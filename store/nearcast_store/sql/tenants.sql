-- name: add_tenant
insert into tenants (slug, display_name) values ($1, $2)
on conflict (slug) do nothing
returning tenant_id;

-- name: find_tenant
select tenant_id from tenants where slug = $1;

-- name: list_tenants
select tenant_id, slug from tenants where suspended_at is null order by tenant_id;

-- name: list_everyone
select tenant_id, slug from tenants order by tenant_id;

-- name: lock_tenant
-- Writers of items refer to the row at the same time; only they are let through.
select tenant_id from tenants where tenant_id = $1 for no key update;

-- name: add_key
insert into api_keys (tenant_id, prefix, secret_hash, role, label, created_at, expires_at)
values ($1, $2, $3, $4, $5, to_timestamp($6::float8), to_timestamp($7::float8))
returning key_id;

-- name: find_caller
select k.tenant_id, t.slug, k.role, k.key_id, t.suspended_at is not null as suspended,
       extract(epoch from k.expires_at)::float8 as expires_at
from api_keys k
join tenants t using (tenant_id)
where k.secret_hash = $1
  and k.revoked_at is null
  and (k.expires_at is null or k.expires_at > to_timestamp($2::float8));

-- name: list_keys
select k.key_id, t.slug, k.prefix, k.role, k.label,
       extract(epoch from k.created_at)::float8 as created_at,
       extract(epoch from k.expires_at)::float8 as expires_at,
       extract(epoch from k.revoked_at)::float8 as revoked_at
from api_keys k
join tenants t using (tenant_id)
where k.tenant_id = $1 and ($2::bigint is null or k.key_id = $2)
order by k.key_id;

-- name: revoke_key
update api_keys set revoked_at = coalesce(revoked_at, to_timestamp($3::float8))
where tenant_id = $1 and key_id = $2;

-- name: beat
insert into heartbeats as kept (process, beat_at, fresh_at)
values ($1, to_timestamp($2::float8), to_timestamp($3::float8))
on conflict (process) do update set beat_at = excluded.beat_at, fresh_at = excluded.fresh_at
where kept.beat_at <= excluded.beat_at;

-- name: read_beat
select extract(epoch from beat_at)::float8 as beat_at, extract(epoch from fresh_at)::float8 as fresh_at
from heartbeats
where process = $1;

-- name: read_origin
select concat_ws(' ', extract(epoch from pg_postmaster_start_time()), oid)
from pg_database
where datname = current_database();

-- name: read_revision
select revision, body, checksum from policy_revisions
where tenant_id = $1 and not contender
order by revision desc
limit 1;

-- name: read_numbered_revision
select revision, body, checksum from policy_revisions where tenant_id = $1 and revision = $2;

-- name: read_newest_number
select max(revision) from policy_revisions where tenant_id = $1;

-- name: add_revision
insert into policy_revisions (tenant_id, revision, body, checksum, author, note, created_at, contender)
values ($1, $2, $3, $4, $5, $6, to_timestamp($7::float8), $8);

-- name: list_slugs
select realm, slug, number from slugs where tenant_id = $1;

-- name: add_slugs
insert into slugs (tenant_id, realm, slug, number)
select $1, realm, slug, number
from unnest($2::text[], $3::text[], $4::integer[]) as n (realm, slug, number);

-- name: read_latest_epoch
select epoch, policy_revision, shares, segments, items,
       extract(epoch from published_at)::float8 as published_at
from policy_epochs
where tenant_id = $1
order by policy_epochs.epoch desc
limit 1;

-- name: list_epochs_since
select epoch, policy_revision, shares, segments, items,
       extract(epoch from published_at)::float8 as published_at
from policy_epochs
where tenant_id = $1 and published_at > to_timestamp($2::float8)
order by policy_epochs.epoch;

-- name: add_epoch
insert into policy_epochs (tenant_id, epoch, policy_revision, shares, published_at, segments, items)
values ($1, $2, $3, $4, to_timestamp($5::float8), $6, $7);

-- name: list_signing_keys
select key_id, secret,
       extract(epoch from created_at)::float8 as created_at,
       extract(epoch from retired_at)::float8 as retired_at
from signing_keys
where tenant_id = $1
order by signing_keys.created_at;

-- name: forget_signing_keys
delete from signing_keys where tenant_id = $1 and key_id = any($2::smallint[]);

-- name: retire_signing_keys
update signing_keys set retired_at = to_timestamp($3::float8)
where tenant_id = $1 and key_id = any($2::smallint[]);

-- name: add_signing_key
insert into signing_keys (tenant_id, key_id, secret, created_at)
values ($1, $2, $3, to_timestamp($4::float8));

-- name: list_revisions
select revision, author, note, checksum, extract(epoch from created_at)::float8 as created_at, contender
from policy_revisions
where tenant_id = $1 and revision < $2
order by policy_revisions.revision desc
limit $3;

-- name: read_policy_request
select asked, revision from policy_requests where tenant_id = $1 and request_id = $2;

-- name: add_policy_request
insert into policy_requests (tenant_id, request_id, asked, revision, created_at)
values ($1, $2, $3, $4, to_timestamp($5::float8));

-- name: forget_policy_requests
delete from policy_requests where tenant_id = $1 and created_at < to_timestamp($2::float8);

-- name: has_schema_migrations
select to_regclass('schema_migrations') is not null;

-- name: create_schema_migrations
create table if not exists schema_migrations (
    number     integer primary key,
    name       text not null,
    checksum   bytea not null,
    applied_at timestamptz not null default now()
);

-- name: list_schema_migrations
select number, name, checksum from schema_migrations;

-- name: add_schema_migration
insert into schema_migrations (number, name, checksum) values ($1, $2, $3);

-- name: set_lock_timeout
select set_config('lock_timeout', $1, false);

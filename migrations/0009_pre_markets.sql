-- Named pieces of the earth. A market's number stands in `slugs` too, once and for ever; a deleted market stays
-- here without its borders, so that what was counted in it keeps a name.

create table markets (
    tenant_id    integer not null references tenants,
    number       integer not null,
    market_id    text collate "C" not null,
    display_name text not null,
    priority     integer not null,
    disabled     boolean not null,
    -- GeoJSON as it was given, and the polygons that came of it, in well-known binary.
    geometry     text not null,
    area         bytea not null,
    created_at   timestamptz not null,
    updated_at   timestamptz not null,
    deleted_at   timestamptz,
    primary key (tenant_id, number),
    unique (tenant_id, market_id)
);

-- Counts up with every change of borders. The keeper places items anew, in the order of their postings, until
-- placed_revision is revision: of placing_revision it has done those up to placed_posting.
create table market_revisions (
    tenant_id        integer primary key references tenants,
    revision         bigint not null,
    placed_revision  bigint not null default 0,
    placing_revision bigint not null default 0,
    placed_posting   bigint not null default 0
);

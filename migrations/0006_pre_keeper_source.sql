-- How far the keeper has read a customer's own table of behaviour, and which of its rows were refused.

create table source_cursors (
    tenant_id      integer not null references tenants,
    source         text not null,
    row_seconds    double precision not null,
    row_time       text not null,
    row_id         text not null,
    read_count     bigint not null,
    accepted_count bigint not null,
    refused_count  bigint not null,
    moved_at       timestamptz not null,
    primary key (tenant_id, source)
);

-- The last run of each source, for whoever asks how it does; caught_up_at is when it last had read everything.
create table source_runs (
    tenant_id    integer not null references tenants,
    source       text not null,
    caught_up_at timestamptz,
    trouble      text not null default '',
    troubled_at  timestamptz,
    primary key (tenant_id, source),
    check ((trouble = '') = (troubled_at is null))
);

-- A row is known by a hash of its id, as ids may be of any length; the texts are for people. A row that is
-- accepted later, or is one too many, leaves.
create table source_rejects (
    source_reject_id bigint generated always as identity primary key,
    tenant_id        integer not null references tenants,
    source           text not null,
    row_key          bytea not null,
    row_id           text not null,
    row_time         text not null,
    reason           text not null,
    detail           text not null,
    rejected_at      timestamptz not null default now(),
    unique (tenant_id, source, row_key)
);

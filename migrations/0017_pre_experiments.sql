-- Policies that are tried beside the one in force: on a share of sessions, or decided and never shown.

-- A contender is a revision like any other, but never the one in force.
alter table policy_revisions add column contender boolean not null default false;

create table experiments (
    tenant_id  integer not null,
    experiment bigint generated always as identity,
    name       text not null check (name ~ '^[a-z0-9][a-z0-9_-]{0,39}$'),
    mode       text not null check (mode in ('split', 'shadow')),
    revision   bigint not null,
    against    bigint not null,
    share      float8 not null check (share > 0 and share <= 1),
    author     text not null,
    note       text not null default '',
    started_at timestamptz not null,
    stopped_at timestamptz,
    primary key (tenant_id, experiment),
    unique (tenant_id, name),
    foreign key (tenant_id, revision) references policy_revisions,
    foreign key (tenant_id, against) references policy_revisions,
    check (stopped_at >= started_at)
);
-- One of each mode at a time.
create unique index experiments_running on experiments (tenant_id, mode) where stopped_at is null;

-- What the contender of a shadow would have shown beside what was shown, one row for each request compared.
create table shadow_decisions (
    tenant_id          integer not null,
    experiment         bigint not null,
    request_id         uuid not null,
    market             integer not null,
    feed               smallint not null,
    shadow_feed        smallint not null,
    postings           bigint[] not null,
    shadow_postings    bigint[] not null,
    common_count       smallint not null,
    new_count          smallint not null,
    shadow_new_count   smallint not null,
    decided_at         timestamptz not null,
    primary key (tenant_id, experiment, request_id)
);
create index shadow_decisions_by_age on shadow_decisions using brin (decided_at);

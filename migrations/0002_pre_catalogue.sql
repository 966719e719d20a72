-- What can be shown, and how it reaches the index.

create sequence posting_numbers as bigint;

-- One row per item id; a deleted one stays as a versioned tombstone for a while.
create table items (
    tenant_id  integer not null references tenants,
    item_id    text collate "C" not null,
    posting    bigint not null,
    version    bigint not null,
    etag       text not null,
    body       jsonb not null,
    market     integer not null default 0,
    born_at    timestamptz not null,
    updated_at timestamptz not null,
    expires_at timestamptz,
    deleted_at timestamptz,
    primary key (tenant_id, item_id),
    unique (tenant_id, posting)
);
create index items_expiring on items (expires_at) where expires_at is not null and deleted_at is null;
create index items_tombstones on items (deleted_at) where deleted_at is not null;

-- Every life of every item id, also the ended ones: what statistics refer to.
create table postings (
    tenant_id integer not null references tenants,
    posting   bigint not null,
    item_id   text collate "C" not null,
    category  text not null default '',
    owner     text not null default '',
    market    integer not null default 0,
    title     text not null default '',
    born_at   timestamptz not null,
    ended_at  timestamptz,
    primary key (tenant_id, posting)
);
create index postings_by_item on postings (tenant_id, item_id);

-- Written in the transaction that changes the item. The relay numbers rows below the
-- transaction horizon without gaps and carries them to Redis in that order.
create table outbox (
    outbox_id  bigint generated always as identity primary key,
    tenant_id  integer not null references tenants,
    xid        xid8 not null default pg_current_xact_id(),
    posting    bigint not null,
    -- What the index must hold from now on; null takes the posting out of it.
    served     jsonb,
    created_at timestamptz not null default now()
);
create index outbox_by_xid on outbox (xid);

-- Numbered changes, kept so that a Redis that lost its tail can be brought forward.
create table changes (
    tenant_id  integer not null references tenants,
    sequence   bigint not null,
    posting    bigint not null,
    served     jsonb,
    created_at timestamptz not null,
    primary key (tenant_id, sequence)
);
create index changes_by_age on changes (created_at);

create table change_sequences (
    tenant_id     integer primary key references tenants,
    last_sequence bigint not null default 0
);

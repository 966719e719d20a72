-- What people saw and did: the ledger, and the integers folded from it.

-- One row per identity. An attributed event (its reward token verified) is
-- (tenant, day of the request, request, posting, kind); any other is
-- (tenant, day of the event id, event id, 0, 0). The day is part of the identity, so a
-- repeat always meets the same partition and the same unique index.
create table events (
    tenant_id        integer not null,
    identity_day     date not null,
    origin_id        uuid not null,
    posting          bigint not null,
    identity_kind    smallint not null,
    kind             smallint not null,
    event_id         uuid,
    learned          boolean not null,
    unlearned_reason smallint not null default 0,
    implied          boolean not null default false,
    position         smallint,
    feed             smallint,
    feed_propensity  double precision,
    scenario         smallint,
    market           integer,
    policy_revision  bigint,
    policy_epoch     bigint,
    explore          boolean,
    subject_hash     bytea,
    session_hash     bytea,
    key_id           smallint,
    item_id          text,
    user_id          text,
    anonymous_id     text,
    session_id       text,
    value            double precision check (value >= 0 and value < 'Infinity'),
    properties       jsonb,
    occurred_at      timestamptz,
    received_at      timestamptz not null,
    durability       smallint not null,
    gateway_id       text not null,
    primary key (tenant_id, identity_day, origin_id, posting, identity_kind)
) partition by range (identity_day);

-- The fold's result: for learned events, how often each kind happened.
-- bucket = hour of the request id, in hours since the Unix epoch; a success counts in
-- its impression's bucket.
create table item_counts (
    tenant_id       integer not null,
    posting         bigint not null,
    market          integer not null,
    kind            smallint not null,
    bucket          integer not null,
    position_bucket smallint not null,
    feed            smallint not null,
    explore         boolean not null,
    count           bigint not null check (count >= 0),
    -- The transaction that changed the row last: gateways poll what changed since the
    -- horizon of their last poll, so a late committer is never missed.
    changed_xid     xid8 not null default pg_current_xact_id(),
    primary key (tenant_id, posting, market, kind, bucket, position_bucket, feed, explore)
);
create index item_counts_changed on item_counts (tenant_id, changed_xid);

-- Sums of item_counts, kept in the same transaction, so that nobody has to add up all of it.
create table posting_totals (
    tenant_id integer not null,
    posting   bigint not null,
    kind      smallint not null,
    count     bigint not null check (count >= 0),
    primary key (tenant_id, posting, kind)
);
create index posting_totals_by_count on posting_totals (tenant_id, kind, count desc, posting);

create table kind_totals (
    tenant_id integer not null,
    kind      smallint not null,
    count     bigint not null check (count >= 0),
    primary key (tenant_id, kind)
);

-- One row per (epoch, session, feed): a trial, and whether it was rewarded.
create table feed_trials (
    tenant_id    integer not null,
    policy_epoch bigint not null,
    session_hash bytea not null,
    feed         smallint not null,
    market       integer not null,
    bucket       integer not null,
    rewarded     boolean not null,
    primary key (tenant_id, policy_epoch, session_hash, feed)
);

create table feed_counts (
    tenant_id    integer not null,
    market       integer not null,
    feed         smallint not null,
    bucket       integer not null,
    trial_count  bigint not null,
    reward_count bigint not null check (reward_count <= trial_count),
    primary key (tenant_id, market, feed, bucket)
);

-- What the keeper did with each shard of the log, moved in the fold's transaction.
create table log_positions (
    tenant_id       integer not null,
    shard           smallint not null,
    last_entry_id   text not null,
    accepted_count  bigint not null,
    counted_count   bigint not null,
    duplicate_count bigint not null,
    dead_count      bigint not null,
    primary key (tenant_id, shard)
);

-- Entries or events that can never be stored as they are.
create table dead_letters (
    dead_letter_id bigint generated always as identity primary key,
    tenant_id      integer not null,
    shard          smallint not null,
    entry_id       text not null,
    event_index    integer not null default 0,
    reason         text not null,
    detail         text not null,
    entry          bytea not null,
    created_at     timestamptz not null default now(),
    unique (tenant_id, shard, entry_id, event_index)
);

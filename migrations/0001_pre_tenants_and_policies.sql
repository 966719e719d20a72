-- Who uses nearcast, and what each of them has set.

create table tenants (
    tenant_id    integer generated always as identity primary key,
    slug         text not null unique check (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    display_name text not null,
    created_at   timestamptz not null default now(),
    suspended_at timestamptz
);

-- A key is shown once, when it is made; only its SHA-256 is kept.
create table api_keys (
    key_id      bigint generated always as identity primary key,
    tenant_id   integer not null references tenants,
    prefix      text not null,
    secret_hash bytea not null unique check (octet_length(secret_hash) = 32),
    role        text not null check (role in ('client', 'backend', 'operator')),
    label       text not null default '',
    created_at  timestamptz not null default now(),
    expires_at  timestamptz,
    revoked_at  timestamptz
);

-- Reward, page and session tokens are signed by the newest active key that every process
-- has had the time to read; an older one verifies until it is retired, and for a while after.
create table signing_keys (
    tenant_id  integer not null references tenants,
    key_id     smallint not null check (key_id between 1 and 255),
    secret     bytea not null check (octet_length(secret) = 32),
    created_at timestamptz not null default now(),
    retired_at timestamptz,
    primary key (tenant_id, key_id)
);

-- Slugs of event kinds, feeds, scenarios and markets get a small number once, for
-- ever: tokens, ledger rows and counts carry the number.
create table slugs (
    tenant_id integer not null references tenants,
    realm     text not null check (realm in ('kind', 'feed', 'scenario', 'market')),
    number    integer not null check (number between 1 and 32767),
    slug      text not null,
    primary key (tenant_id, realm, number),
    unique (tenant_id, realm, slug)
);

-- Immutable; the highest revision is the one in force.
create table policy_revisions (
    tenant_id  integer not null references tenants,
    revision   bigint not null check (revision > 0),
    body       text not null,
    checksum   bytea not null,
    author     text not null,
    note       text not null default '',
    created_at timestamptz not null default now(),
    primary key (tenant_id, revision)
);

-- One published set of feed probabilities; immutable. `shares` holds, for each market
-- and segment, the exact probability of every feed for each eligibility.
create table policy_epochs (
    tenant_id       integer not null references tenants,
    epoch           bigint not null check (epoch > 0),
    policy_revision bigint not null,
    shares          jsonb not null,
    published_at    timestamptz not null default now(),
    primary key (tenant_id, epoch),
    foreign key (tenant_id, policy_revision) references policy_revisions
);

-- A sign of life, so that a gateway can say that nobody counts at the moment, and since when
-- something waits to be counted.
create table heartbeats (
    process  text primary key,
    beat_at  timestamptz not null,
    fresh_at timestamptz not null
);

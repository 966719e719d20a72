-- How much each position is looked at, as the keeper fitted it to the exploration share. A curve is written once,
-- whole, and never changed; the highest number is the one in force.

create table curve_fits (
    tenant_id    integer not null references tenants,
    number       bigint not null check (number > 0),
    fitted_at    timestamptz not null,
    -- Of position 1, 2, ...; the last value goes on.
    shares       float8[] not null,
    -- What it rests on: positions as they are counted, and what was seen of each.
    places       smallint[] not null,
    impressions  bigint[] not null,
    successes    bigint[] not null,
    place_shares float8[] not null,
    primary key (tenant_id, number)
);

-- When the exploration share was looked at last, and why no curve came of it; empty if one did.
create table curve_looks (
    tenant_id integer primary key references tenants,
    looked_at timestamptz not null,
    -- Equal as long as the settings that a fit rests on are.
    basis     bytea not null,
    reason    text not null
);

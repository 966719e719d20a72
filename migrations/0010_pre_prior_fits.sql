-- What items are believed to be like before they were seen, as fitted by the keeper. A fit is written once,
-- whole, and never changed; the highest number is the one in force.

create table prior_fits (
    tenant_id integer not null references tenants,
    number    bigint not null check (number > 0),
    -- Equal as long as the settings that a fit rests on are.
    basis     bytea not null,
    fitted_at timestamptz not null,
    primary key (tenant_id, number)
);

-- Without a market: all of them; without a category: the whole market. Market 0 and category '' are the items
-- that have none.
create table fitted_priors (
    tenant_id integer not null,
    number    bigint not null,
    kind      smallint not null,
    market    integer,
    category  text collate "C",
    mean      float8 not null check (mean > 0 and mean < 1),
    strength  float8 not null check (strength > 0),
    level     text not null,
    how       text not null,
    children  bigint not null,
    exposures float8 not null,
    successes float8 not null,
    own_share float8 not null,
    unique nulls not distinct (tenant_id, number, kind, market, category),
    foreign key (tenant_id, number) references prior_fits on delete cascade,
    check (market is not null or category is null)
);

-- What changed of the counts is told by the statements that change them, not found by an index: an index on
-- what every fold changes is written for every count, and a row whose indexed columns stay is updated in place.

-- One row for each statement and tenant: keys and absolute counts, column by column. `change_id` is drawn when
-- the counts are locked already, so of two changes of one count the later one has the greater, whichever
-- transaction is the older.
create table count_changes (
    change_id        bigint generated always as identity,
    tenant_id        integer not null,
    xid              xid8 not null default pg_current_xact_id(),
    noted_at         timestamptz not null default clock_timestamp(),
    size             integer not null,
    postings         bigint[] not null,
    markets          integer[] not null,
    kinds            smallint[] not null,
    buckets          integer[] not null,
    position_buckets smallint[] not null,
    feeds            smallint[] not null,
    explores         boolean[] not null,
    counts           bigint[] not null,
    primary key (tenant_id, change_id)
);
create index count_changes_by_xid on count_changes (tenant_id, xid);

-- Rows are dropped after minutes. Who has not looked since `xid` reads all counts.
create table count_changes_dropped (
    tenant_id integer primary key,
    xid       xid8 not null
);

-- Read a few times and then dropped: not worth compressing.
alter table count_changes
    alter postings set storage external,
    alter markets set storage external,
    alter kinds set storage external,
    alter buckets set storage external,
    alter position_buckets set storage external,
    alter feeds set storage external,
    alter explores set storage external,
    alter counts set storage external;

create function note_count_changes() returns trigger language plpgsql as $$
begin
    insert into count_changes (
        tenant_id, size, postings, markets, kinds, buckets, position_buckets, feeds, explores, counts
    )
    select tenant_id, count(*), array_agg(posting), array_agg(market), array_agg(kind), array_agg(bucket),
           array_agg(position_bucket), array_agg(feed), array_agg(explore), array_agg(count)
    from (select *, (row_number() over () - 1) / 20000 as part from changed) parted
    group by tenant_id, part;
    return null;
end
$$;

create trigger item_counts_inserted after insert on item_counts
    referencing new table as changed for each statement execute function note_count_changes();
create trigger item_counts_updated after update on item_counts
    referencing new table as changed for each statement execute function note_count_changes();

-- A gateway of the version before goes through all counts from now on, until it is replaced.
drop index item_counts_changed;
alter table item_counts set (fillfactor = 75);

-- Which postings have the most is found by the order of magnitude, which seldom changes.
drop index posting_totals_by_count;
alter table posting_totals
    add column magnitude smallint not null generated always as (floor(2 * ln(count + 1))) stored,
    set (fillfactor = 75);
create index posting_totals_by_magnitude on posting_totals (tenant_id, kind, magnitude desc);

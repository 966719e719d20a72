-- Who folds a shard of a log that leaves it to the fold to remember how far it is read, and what is left of
-- the counts of days that the ledger no longer holds.

-- Raised by whoever takes the shard over: a fold under an older generation is refused. take_count says how
-- often that happened since anything of the shard was folded.
alter table log_positions
    add column generation bigint not null default 0,
    add column take_count integer not null default 0;

-- Days whose events were dropped, after which nothing adds to their counts. Then their hours are summed into
-- one, a few postings at a time, and stay as zeros until every gateway has had the time to hear of them. `xid` is
-- younger than any of the zeros: a gateway that has not heard of it once they begin to go reads all counts again.
create table compactions (
    day          date primary key,
    dropped_at   timestamptz not null default now(),
    xid          xid8,
    compacted_at timestamptz,
    clearing_at  timestamptz,
    cleared_at   timestamptz,
    check ((xid is null) = (compacted_at is null))
);

-- Trials move to their day hour by hour, each together with its feeds' counts.
create index feed_trials_by_hour on feed_trials (tenant_id, bucket);

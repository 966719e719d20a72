-- Trials are counted by the segment of people that the app named, 0 for none; what was counted before is none's.
alter table slugs
    drop constraint slugs_realm_check,
    add constraint slugs_realm_check check (realm in ('kind', 'feed', 'scenario', 'market', 'segment'));

alter table feed_trials add column segment smallint not null default 0;

alter table feed_counts
    add column segment smallint not null default 0,
    drop constraint feed_counts_pkey,
    add primary key (tenant_id, market, feed, bucket, segment);

-- The shares of each segment, by its number, and how many items each market held when the epoch was made.
alter table policy_epochs
    add column segments jsonb not null default '{}',
    add column items    jsonb not null default '{}';

-- name: add_outbox
insert into outbox (tenant_id, posting, served)
select $1, w.posting, w.served::jsonb
from unnest($2::bigint[], $3::text[]) with ordinality as w (posting, served, ordinal)
order by w.ordinal;

-- name: lock_sequencing
select pg_advisory_xact_lock(hashtextextended('nearcast sequencing', 0));

-- name: number_outbox
with ready as (
    select outbox_id, tenant_id, posting, served,
           row_number() over (partition by tenant_id order by xid, outbox_id) as ordinal
    from (
        select outbox_id, tenant_id, posting, served, xid
        from outbox
        -- Everything below the oldest transaction that still runs is final: no late committer can turn up
        -- among rows that were numbered already.
        where xid < pg_snapshot_xmin(pg_current_snapshot())
        order by xid, outbox_id
        limit $1
    ) as oldest
), counted as (
    select tenant_id, count(*) as many from ready group by tenant_id
), moved as (
    insert into change_sequences as kept (tenant_id, last_sequence)
    select tenant_id, many from counted order by tenant_id
    on conflict (tenant_id) do update set last_sequence = kept.last_sequence + excluded.last_sequence
    returning tenant_id, last_sequence
), numbered as (
    insert into changes (tenant_id, sequence, posting, served, created_at)
    select tenant_id, moved.last_sequence - counted.many + ready.ordinal, posting, served, now()
    from ready join counted using (tenant_id) join moved using (tenant_id)
    order by tenant_id, ordinal
)
delete from outbox using ready where outbox.outbox_id = ready.outbox_id;

-- name: list_changes
select sequence, posting, served from changes
where tenant_id = $1 and sequence > $2
order by sequence
limit $3;

-- name: read_last_sequence
select coalesce((select last_sequence from change_sequences where tenant_id = $1), 0);

-- name: read_oldest_sequence
select coalesce(
    (select min(sequence) from changes where tenant_id = $1),
    (select last_sequence + 1 from change_sequences where tenant_id = $1),
    1
);

-- name: prune_changes
-- Only from the start, so that what is kept has no gaps, whatever the clock did.
with kept_from as (
    select s.tenant_id,
           coalesce(
               (select min(c.sequence) from changes c
                where c.tenant_id = s.tenant_id and c.created_at >= to_timestamp($1::float8)),
               s.last_sequence + 1
           ) as sequence
    from change_sequences s
)
delete from changes using kept_from
where changes.tenant_id = kept_from.tenant_id and changes.sequence < kept_from.sequence;

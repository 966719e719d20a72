-- name: read_cursor
select row_seconds, row_time, row_id
from source_cursors
where tenant_id = $1 and source = $2;

-- name: move_cursor
insert into source_cursors as kept (
    tenant_id, source, row_seconds, row_time, row_id, read_count, accepted_count, refused_count, moved_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, now())
on conflict (tenant_id, source) do update set
    -- What was read again lies before it.
    row_seconds = greatest(kept.row_seconds, excluded.row_seconds),
    row_time = case when excluded.row_seconds < kept.row_seconds then kept.row_time else excluded.row_time end,
    row_id = case when excluded.row_seconds < kept.row_seconds then kept.row_id else excluded.row_id end,
    read_count = kept.read_count + excluded.read_count,
    accepted_count = kept.accepted_count + excluded.accepted_count,
    refused_count = kept.refused_count + excluded.refused_count,
    moved_at = excluded.moved_at;

-- name: add_rejects
insert into source_rejects (tenant_id, source, row_key, row_id, row_time, reason, detail)
select $1, $2, r.*
from unnest($3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[])
    as r (row_key, row_id, row_time, reason, detail)
on conflict (tenant_id, source, row_key) do update set
    row_time = excluded.row_time, reason = excluded.reason, detail = excluded.detail, rejected_at = now()
where source_rejects.reason <> excluded.reason
returning reason;

-- name: drop_rejects
delete from source_rejects where tenant_id = $1 and source = $2 and row_key = any($3::bytea[]);

-- name: forget_rejects
-- All but the newest so many.
delete from source_rejects
where tenant_id = $1 and source = $2 and source_reject_id <= (
    select source_reject_id from source_rejects
    where tenant_id = $1 and source = $2
    order by source_reject_id desc offset $3 limit 1
);

-- name: list_rejects
select source_reject_id, row_id, row_time, reason, detail, rejected_at
from source_rejects
where tenant_id = $1 and source = $2 and source_reject_id > $3 and ($4::text is null or reason = $4)
order by source_reject_id
limit $5;

-- name: count_rejects
select reason, count(*) as rejects
from source_rejects
where tenant_id = $1 and source = $2
group by reason
order by reason;

-- name: note_caught_up
insert into source_runs (tenant_id, source, caught_up_at)
values ($1, $2, now())
on conflict (tenant_id, source) do update set
    caught_up_at = excluded.caught_up_at, trouble = '', troubled_at = null;

-- name: note_trouble
insert into source_runs (tenant_id, source, trouble, troubled_at)
values ($1, $2, $3, now())
on conflict (tenant_id, source) do update set
    trouble = excluded.trouble, troubled_at = excluded.troubled_at;

-- name: read_status
select c.row_seconds, c.row_time, c.row_id, coalesce(c.read_count, 0), coalesce(c.accepted_count, 0),
       coalesce(c.refused_count, 0), c.moved_at, r.caught_up_at, coalesce(r.trouble, ''), r.troubled_at
from (select $1::integer as tenant_id, $2::text as source) as asked
left join source_cursors c using (tenant_id, source)
left join source_runs r using (tenant_id, source);

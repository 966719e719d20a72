-- name: list_letters
select dead_letter_id, tenant_id, shard, entry_id, event_index, reason, detail, entry, state, created_at,
       settled_at, settled_note
from dead_letters
where tenant_id = $1 and dead_letter_id > $2 and ($3::text is null or state = $3)
  and ($4::text is null or reason = $4)
order by dead_letter_id
limit $5;

-- name: read_letter
select dead_letter_id, tenant_id, shard, entry_id, event_index, reason, detail, entry, state, created_at,
       settled_at, settled_note
from dead_letters
where tenant_id = $1 and dead_letter_id = $2;

-- name: lock_letter
-- Whoever settles it next waits, and then finds it settled.
select dead_letter_id, tenant_id, shard, entry_id, event_index, reason, detail, entry, state, created_at,
       settled_at, settled_note
from dead_letters
where tenant_id = $1 and dead_letter_id = $2
for update;

-- name: settle_letter
update dead_letters set state = $2, settled_at = now(), settled_note = $3 where dead_letter_id = $1;

-- name: count_letters
select state, reason, count(*) as letters
from dead_letters
where tenant_id = $1
group by state, reason
order by state, reason;

-- name: list_letters_of_entries
select l.entry_id, l.event_index
from dead_letters l
where l.tenant_id = $1 and l.shard = $2 and l.entry_id = any($3::text[]);

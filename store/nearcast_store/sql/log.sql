-- name: move_positions
-- What was accepted was counted, buried, or there already: the last of these follows from the others.
insert into log_positions as kept (
    tenant_id, shard, last_entry_id, accepted_count, counted_count, duplicate_count, dead_count
)
select p.tenant_id, p.shard, p.last_entry_id, p.accepted, p.counted,
       greatest(p.accepted - p.counted - p.dead, 0), p.dead
from unnest($1::integer[], $2::smallint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[])
    as p (tenant_id, shard, last_entry_id, accepted, counted, dead)
on conflict (tenant_id, shard) do update set
    -- Another keeper may be ahead with later entries. Ids are numbers joined by dashes.
    last_entry_id = case
        when string_to_array(excluded.last_entry_id, '-')::bigint[]
           > string_to_array(kept.last_entry_id, '-')::bigint[]
        then excluded.last_entry_id
        else kept.last_entry_id
    end,
    -- Whoever gets on does not die of what it reads.
    take_count = case when excluded.accepted_count > 0 then 0 else kept.take_count end,
    accepted_count = kept.accepted_count + excluded.accepted_count,
    counted_count = kept.counted_count + excluded.counted_count,
    dead_count = kept.dead_count + excluded.dead_count,
    duplicate_count = greatest(
        kept.accepted_count + excluded.accepted_count - kept.counted_count - excluded.counted_count
            - kept.dead_count - excluded.dead_count,
        0
    );

-- name: bury_letters
insert into dead_letters (tenant_id, shard, entry_id, event_index, reason, detail, entry)
select * from unnest(
    $1::integer[], $2::smallint[], $3::text[], $4::integer[], $5::text[], $6::text[], $7::bytea[]
)
on conflict do nothing;

-- name: list_positions
select tenant_id, shard, last_entry_id, accepted_count, counted_count, duplicate_count, dead_count
from log_positions
where tenant_id = any($1::integer[])
order by tenant_id, shard;

-- name: lock_held_positions
select p.tenant_id, p.shard
from log_positions p
join unnest($1::integer[], $2::smallint[], $3::bigint[]) as h (tenant_id, shard, generation)
    using (tenant_id, shard, generation)
order by p.tenant_id, p.shard
for update of p;

-- name: list_standings
select tenant_id, shard, last_entry_id, generation, take_count
from log_positions
where tenant_id = any($1::integer[])
order by tenant_id, shard;

-- name: take_position
insert into log_positions as kept (
    tenant_id, shard, last_entry_id, accepted_count, counted_count, duplicate_count, dead_count, generation,
    take_count
)
values ($1, $2, '0', 0, 0, 0, 0, 1, 1)
on conflict (tenant_id, shard) do update set
    generation = kept.generation + 1,
    take_count = kept.take_count + 1
returning tenant_id, shard, last_entry_id, generation, take_count;

-- name: create_staged_events
-- With the place of each row, and what learned ones are counted by beside what the ledger keeps.
create temporary table if not exists staged_events (
    like events, ordinal integer not null, bucket integer, position_bucket smallint
) on commit delete rows;

-- name: insert_staged_events
-- Sorted by the key, so that two who store the same events wait for each other instead of deadlocking. An event
-- that was stored without being learned from, and comes again to be learned from, becomes what it would be had
-- it come so first: nothing may depend on the order.
with inserted as (
    insert into events as kept (
        tenant_id, identity_day, origin_id, posting, identity_kind, kind, event_id, learned, unlearned_reason,
        implied, position, feed, feed_propensity, scenario, market, policy_revision, policy_epoch, explore,
        subject_hash, session_hash, key_id, item_id, user_id, anonymous_id, session_id, value, properties,
        dwell_ms, occurred_at, received_at, durability, gateway_id, rewards_feed, cascades
    )
    select
        tenant_id, identity_day, origin_id, posting, identity_kind, kind, event_id, learned, unlearned_reason,
        implied, position, feed, feed_propensity, scenario, market, policy_revision, policy_epoch, explore,
        subject_hash, session_hash, key_id, item_id, user_id, anonymous_id, session_id, value, properties,
        dwell_ms, occurred_at, received_at, durability, gateway_id, rewards_feed, cascades
    from staged_events
    order by tenant_id, identity_day, origin_id, posting, identity_kind
    on conflict (tenant_id, identity_day, origin_id, posting, identity_kind) do update set (
        kind, event_id, learned, unlearned_reason, implied, position, feed, feed_propensity, scenario, market,
        policy_revision, policy_epoch, explore, subject_hash, session_hash, key_id, item_id, user_id,
        anonymous_id, session_id, value, properties, dwell_ms, occurred_at, received_at, durability,
        gateway_id, rewards_feed, cascades
    ) = row (
        excluded.kind, excluded.event_id, excluded.learned, excluded.unlearned_reason, excluded.implied,
        excluded.position, excluded.feed, excluded.feed_propensity, excluded.scenario, excluded.market,
        excluded.policy_revision, excluded.policy_epoch, excluded.explore, excluded.subject_hash,
        excluded.session_hash, excluded.key_id, excluded.item_id, excluded.user_id, excluded.anonymous_id,
        excluded.session_id, excluded.value, excluded.properties,
        greatest(kept.dwell_ms, excluded.dwell_ms), excluded.occurred_at, excluded.received_at,
        excluded.durability, excluded.gateway_id, excluded.rewards_feed, excluded.cascades
    )
    where not kept.learned and excluded.learned
    returning tenant_id, identity_day, origin_id, posting, identity_kind
)
select ordinal as known_already
from staged_events
left join inserted using (tenant_id, identity_day, origin_id, posting, identity_kind)
where inserted.tenant_id is null;

-- name: forget_known_events
-- What is left was stored just now, and is to be counted.
delete from staged_events where ordinal = any($1::integer[]);

-- name: lengthen_dwells
-- Of rows that were known already: the longest report stands, in whatever order they come. The insert before has
-- locked them.
update events e set dwell_ms = k.dwell_ms
from unnest($1::integer[], $2::date[], $3::uuid[], $4::bigint[], $5::smallint[], $6::integer[])
    as k (tenant_id, identity_day, origin_id, posting, identity_kind, dwell_ms)
where (e.tenant_id, e.identity_day, e.origin_id, e.posting, e.identity_kind)
    = (k.tenant_id, k.identity_day, k.origin_id, k.posting, k.identity_kind)
  and k.dwell_ms > coalesce(e.dwell_ms, -1);

-- name: lock_partitions
select pg_advisory_xact_lock(hashtextextended('nearcast partitions', 0));

-- name: list_partitions
select c.relname as name
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'events'::regclass
order by c.relname;

-- name: list_gone_days
-- Whether an event of such a day was counted can no longer be told.
select day from compactions;

-- name: list_events
select identity_day, origin_id, posting, identity_kind, kind, event_id, learned, unlearned_reason, implied,
       rewards_feed, position, feed, feed_propensity, scenario, market, policy_revision, policy_epoch, explore,
       subject_hash, session_hash,
       coalesce((select p.item_id from postings p
                 where p.tenant_id = events.tenant_id and p.posting = events.posting), item_id) as item_id,
       user_id, anonymous_id, session_id, value, properties, dwell_ms, occurred_at, received_at, durability,
       gateway_id
from events
where tenant_id = $1 and identity_day between $2 and $3 and origin_id >= $4 and origin_id < $5
  and ($6::smallint is null or kind = $6)
order by identity_day, origin_id, posting, identity_kind;

-- name: list_stored_events
-- Which of these identities the ledger holds, and the entry that each came with.
select e.tenant_id, e.identity_day, e.origin_id, e.posting, e.identity_kind, e.implied, e.received_at,
       e.gateway_id
from unnest($1::integer[], $2::date[], $3::uuid[], $4::bigint[], $5::smallint[])
    as k (tenant_id, identity_day, origin_id, posting, identity_kind)
join events e using (tenant_id, identity_day, origin_id, posting, identity_kind);

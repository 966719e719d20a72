-- name: create_staged_events
create temporary table if not exists staged_events (like events, ordinal integer not null)
on commit delete rows;

-- name: insert_staged_events
-- Sorted by the key, so that two who store the same events wait for each other instead of deadlocking. An event
-- that was stored without being learned from, and comes again to be learned from, becomes what it would be had
-- it come so first: nothing may depend on the order.
with inserted as (
    insert into events as kept (
        tenant_id, identity_day, origin_id, posting, identity_kind, kind, event_id, learned, unlearned_reason,
        implied, position, feed, feed_propensity, scenario, market, policy_revision, policy_epoch, explore,
        subject_hash, session_hash, key_id, item_id, user_id, anonymous_id, session_id, value, properties,
        occurred_at, received_at, durability, gateway_id
    )
    select
        tenant_id, identity_day, origin_id, posting, identity_kind, kind, event_id, learned, unlearned_reason,
        implied, position, feed, feed_propensity, scenario, market, policy_revision, policy_epoch, explore,
        subject_hash, session_hash, key_id, item_id, user_id, anonymous_id, session_id, value, properties,
        occurred_at, received_at, durability, gateway_id
    from staged_events
    order by tenant_id, identity_day, origin_id, posting, identity_kind
    on conflict (tenant_id, identity_day, origin_id, posting, identity_kind) do update set (
        kind, event_id, learned, unlearned_reason, implied, position, feed, feed_propensity, scenario, market,
        policy_revision, policy_epoch, explore, subject_hash, session_hash, key_id, item_id, user_id,
        anonymous_id, session_id, value, properties, occurred_at, received_at, durability, gateway_id
    ) = row (
        excluded.kind, excluded.event_id, excluded.learned, excluded.unlearned_reason, excluded.implied,
        excluded.position, excluded.feed, excluded.feed_propensity, excluded.scenario, excluded.market,
        excluded.policy_revision, excluded.policy_epoch, excluded.explore, excluded.subject_hash,
        excluded.session_hash, excluded.key_id, excluded.item_id, excluded.user_id, excluded.anonymous_id,
        excluded.session_id, excluded.value, excluded.properties, excluded.occurred_at, excluded.received_at,
        excluded.durability, excluded.gateway_id
    )
    where not kept.learned and excluded.learned
    returning tenant_id, identity_day, origin_id, posting, identity_kind
)
select ordinal as known_already
from staged_events
left join inserted using (tenant_id, identity_day, origin_id, posting, identity_kind)
where inserted.tenant_id is null;

-- name: lock_partitions
select pg_advisory_xact_lock(hashtextextended('nearcast partitions', 0));

-- name: list_partitions
select c.relname as name
from pg_inherits i
join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'events'::regclass
order by c.relname;

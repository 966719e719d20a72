-- What a recount and the repair of single events need to know.

-- Whether the act was a success of the feed that showed the item, under the policy in force when it was
-- folded: so that feeds can be counted again from the ledger alone.
alter table events add column rewards_feed boolean not null default false;

-- Of rows stored before, what their trial says; a trial is rewarded once, whichever act did it.
update events e set rewards_feed = true
from feed_trials t
where (t.tenant_id, t.policy_epoch, t.session_hash, t.feed)
    = (e.tenant_id, e.policy_epoch, e.session_hash, e.feed)
  and t.rewarded and e.learned and not e.explore and e.kind <> 1;

-- A letter is kept when it is retried or discarded: that is how its event stays accounted for.
alter table dead_letters
    add column state text not null default 'dead' check (state in ('dead', 'retried', 'discarded')),
    add column settled_at timestamptz,
    add column settled_note text not null default '',
    add check ((state = 'dead') = (settled_at is null));
create index dead_letters_unsettled on dead_letters (tenant_id, dead_letter_id) where state = 'dead';

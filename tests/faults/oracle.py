"""What must hold once all is quiet, judged from the journal and by SQL that shares nothing with the fold."""

from collections import Counter
from collections.abc import Iterable, Sequence

import asyncpg

from tests.faults.journal import Batch
from tests.faults.traffic import implied

Connection = asyncpg.Connection
Identities = set[tuple[str, int, int]]
SHOWN = 5

LEDGER = """
select origin_id::text, posting, identity_kind, count(*) from events where tenant_id = $1 group by 1, 2, 3
"""

# The first 48 bits of a UUIDv7 are milliseconds; positions are kept exactly up to 20, then in three steps.
RECOUNT = """
with recount as (
    select tenant_id, posting, market, kind,
           ('x' || left(replace(origin_id::text, '-', ''), 12))::bit(48)::bigint / 3600000 as bucket,
           case when position <= 20 then greatest(position, 0)
                when position <= 30 then 25 when position <= 50 then 40 else 75 end as position_bucket,
           feed, explore, count(*) as count
    from events
    where learned and posting > 0
    group by 1, 2, 3, 4, 5, 6, 7, 8
), kept as (
    select tenant_id, posting, market, kind, bucket::bigint, position_bucket::int, feed, explore, count
    from item_counts
)
(select 'counted' as side, * from (select * from kept except select * from recount) as more)
union all
(select 'happened', * from (select * from recount except select * from kept) as less)
"""

# A session counts once for each epoch and feed, where and when it was shown that feed first.
TRIALS = """
with recount as (
    select tenant_id, policy_epoch, session_hash, feed,
           (array_agg(('x' || left(replace(origin_id::text, '-', ''), 12))::bit(48)::bigint / 3600000
                      order by left(origin_id::text, 13)))[1] as bucket,
           bool_or(kind <> 1) as rewarded
    from events
    where learned and posting > 0 and not explore and policy_epoch > 0
    group by 1, 2, 3, 4
)
select r.* from recount as r
full join feed_trials as t using (tenant_id, policy_epoch, session_hash, feed)
where (r.bucket, r.rewarded) is distinct from (t.bucket::bigint, t.rewarded)
"""

FEEDS = """
with recount as (
    select tenant_id, market, feed, bucket, segment, count(*) as trials,
           count(*) filter (where rewarded) as rewards
    from feed_trials group by 1, 2, 3, 4, 5
), kept as (
    select tenant_id, market, feed, bucket, segment, trial_count, reward_count from feed_counts
    where trial_count <> 0
)
(select * from kept except select * from recount) union all (select * from recount except select * from kept)
"""

# What the keeper says it did with each shard: everything it accepted was counted, known already, or buried.
POSITIONS = """
select sum(accepted_count - counted_count - duplicate_count - dead_count)::bigint as unexplained,
       sum(counted_count)::bigint - (select count(*) from events where not implied) as miscounted
from log_positions
"""


async def violations(
    connection: Connection, tenant_id: int, batches: Iterable[Batch], planted: Sequence[str]
) -> list[str]:
    """In words; none when every promise was kept. `planted` are the reasons of the dead letters to find."""
    present = {tuple(row)[:3]: row["count"] for row in await connection.fetch(LEDGER, tenant_id)}
    return [
        *_judge_presence(set(present), batches),
        *[f"{identity} is there {times} times" for identity, times in present.items() if times > 1],
        *await _judge_counts(connection),
        *await _judge_letters(connection, planted),
    ]


def _judge_presence(present: Identities, batches: Iterable[Batch]) -> list[str]:
    must, may, refused = _expected(batches)
    told = []
    if lost := must - present:
        told.append(f"{len(lost)} acknowledged events are not there: {_some(lost)}")
    if taken := present & refused:
        told.append(f"{len(taken)} refused events are there: {_some(taken)}")
    if strange := present - may - refused:
        told.append(f"{len(strange)} events are there that nobody sent: {_some(strange)}")
    return told


def _expected(batches: Iterable[Batch]) -> tuple[Identities, Identities, Identities]:
    """What must be there, what may be, and what must not."""
    must: Identities = set()
    may: Identities = set()
    refused: Identities = set()
    for batch in batches:
        for intent in batch.events:
            if intent.refused:
                refused.add(intent.identity)
                continue
            proven = {intent.identity, implied(intent) or intent.identity}
            may |= proven
            if batch.acked:
                must |= proven
    return must, may, refused


async def _judge_counts(connection: Connection) -> list[str]:
    told = []
    for name, query in (("item_counts", RECOUNT), ("feed_trials", TRIALS), ("feed_counts", FEEDS)):
        if rows := await connection.fetch(query):
            told.append(f"{len(rows)} rows of {name} differ from a recount: {_some(map(tuple, rows))}")
    row = await connection.fetchrow(POSITIONS)
    if row and any(row):
        told.append(f"the log's positions do not balance: {dict(row)}")
    return told


async def _judge_letters(connection: Connection, planted: Sequence[str]) -> list[str]:
    rows = await connection.fetch("select reason, detail from dead_letters")
    found = Counter(row["reason"] for row in rows)
    if found == Counter(planted):
        return []
    return [
        f"dead letters are {dict(found)}, planted were {dict(Counter(planted))}: {_some(map(tuple, rows))}"
    ]


def _some(things: Iterable[object]) -> str:
    return ", ".join(str(thing) for thing in list(things)[:SHOWN])

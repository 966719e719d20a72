"""What everything is measured against: COPY of ready rows into the ledger's table, 1,000 in a transaction."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import Any

import asyncpg

from benchmarks.events.house import House
from benchmarks.events.slates import claims_of
from benchmarks.events.usage import cpu_s, own_cpu_s
from nearcast_ledger.event import Durability
from nearcast_ledger.requestid import RequestIds, identity_day

ROWS = 1_000
TRANSACTIONS_AT_ONCE = 10
# The rows are a tenant's that nobody asks for.
TENANT_ID = 999_999_999
COLUMNS = (
    *("tenant_id", "identity_day", "origin_id", "posting", "identity_kind", "kind", "learned"),
    *("unlearned_reason", "implied", "position", "feed", "feed_propensity", "scenario", "market"),
    *("policy_revision", "policy_epoch", "explore", "subject_hash", "session_hash", "key_id"),
    *("occurred_at", "received_at", "durability", "gateway_id", "rewards_feed"),
    *("event_id", "item_id", "user_id", "anonymous_id", "session_id", "value", "properties", "dwell_ms"),
)


@dataclass(frozen=True, slots=True)
class Copied:
    """Rows a second, and processor time of Postgres and the client per row."""

    rows_per_s: float
    cpu_us: float


async def copy(house: House, seconds: float, seed: int) -> Copied:
    """Copy for so long, without the time in which rows are made; every commit is on the disk."""
    rows = _rows(Random(seed))
    connection = await asyncpg.connect(
        house.endpoints.postgres_dsn, server_settings={"synchronous_commit": "on"}
    )
    took_s = used_s = 0.0
    copied = 0
    try:
        while took_s < seconds:
            batches = [list(islice(rows, ROWS)) for _ in range(TRANSACTIONS_AT_ONCE)]
            cpu, started = _cpu_s(house), time.perf_counter()
            for batch in batches:
                await connection.copy_records_to_table("events", records=batch, columns=COLUMNS)
            took_s += time.perf_counter() - started
            used_s += _cpu_s(house) - cpu
            copied += ROWS * len(batches)
    finally:
        await connection.close()
    return Copied(copied / took_s, used_s / copied * 1e6)


def _cpu_s(house: House) -> float:
    return own_cpu_s() + sum(cpu_s(pid) for pid in house.server_pids["postgres"])


def _rows(random: Random) -> Iterator[tuple[Any, ...]]:
    """Those of slates, in the order in which they come."""
    ids = RequestIds(lambda: time.time_ns() // 1_000_000, random.randbytes)
    while True:
        request_id, session = ids.next(), random.randbytes(8)
        for position, posting in enumerate(random.sample(range(1, 5_000), 10), 1):
            claims = claims_of(TENANT_ID, request_id, posting, position, 1, session)
            now = datetime.now(UTC)
            yield (
                *(TENANT_ID, identity_day(request_id), request_id, posting, 1, 1, True, 0, False),
                *(position, 1, claims.feed_propensity, claims.scenario, claims.market),
                *(claims.policy_revision, claims.policy_epoch, claims.explore, session, session),
                *(claims.key_id, now, now, Durability.EVERYSEC.value, "peer", False),
                *(None,) * 8,
            )

"""What was counted is remembered for the person who saw it, and nothing of that stands in the way."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from nearcast_config.policy import Policy, Seen
from nearcast_ledger.claims import UNKNOWN_HASH
from nearcast_ledger.event import AcceptedEvent, Unlearned
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_ledger.requestid import uuid7_ms
from nearcast_statskeeper import remembering
from nearcast_statskeeper.folding import plan
from nearcast_statskeeper.remembering import Notebook, NotingLedger
from nearcast_statskeeper.roster import Roster
from nearcast_store.counting.memory import MemoryCountStore
from nearcast_store.counting.protocol import Batch, FoldResult
from nearcast_store.errors import SeenUnavailableError, StoreUnavailableError
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.seen.memory import MemorySeenStore
from nearcast_store.seen.protocol import Sightings
from nearcast_store.tenants.memory import MemoryTenantStore
from nearcast_telemetry.metrics import KEEPER_METRICS, Metrics, render
from tests.conftest import FixedClock
from tests.unit.statskeeper.entries import TENANT, claims, learned, record, uuid7

ANN = b"ann....."


class FailingSeenStore(MemorySeenStore):
    """Fails as often as it is told to."""

    fails: Sequence[Exception] = ()

    async def add(self, sightings: Sequence[Sightings]) -> None:
        if self.fails:
            error, *self.fails = self.fails
            raise error
        await super().add(sightings)


class Office:
    """A ledger in memory, and the notebook beside it."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.policies = MemoryPolicyStore(clock)
        self.store = FailingSeenStore()
        self.registry = CollectorRegistry()
        roster = Roster(MemoryTenantStore(clock), self.policies, clock)
        metrics = Metrics(self.registry, KEEPER_METRICS)
        self.notebook = Notebook(self.store, roster, metrics, clock)
        self.counts = MemoryCountStore()
        self.ledger = NotingLedger(self.counts, self.notebook)

    async def fold(self, *events: AcceptedEvent) -> FoldResult:
        return await self.ledger.fold(plan([record(*events)], lambda *_: True).batch)

    async def seen(self, who: bytes = ANN) -> set[int]:
        return set(await self.store.seen_since(TENANT, [who], 0, 10_000))

    @property
    def lost(self) -> float:
        for line in render(self.registry).decode().splitlines():
            if line.startswith("nearcast_statskeeper_seen_lost_total"):
                return float(line.split()[-1])
        raise AssertionError("no such metric")


@pytest.fixture
def office(clock: FixedClock) -> Office:
    return Office(clock)


def saw(posting: int, who: bytes = ANN, kind: int = IMPRESSION, **changed: Any) -> AcceptedEvent:
    return learned(kind, claims=claims(posting=posting, subject_hash=who), **changed)


async def test_what_a_person_saw_or_acted_on_is_remembered(office: Office) -> None:
    await office.fold(saw(1), saw(2, kind=VIEW), saw(3, b"bob....."))
    await office.notebook.write()
    assert await office.seen() == {1, 2}


async def test_a_person_unknown_and_what_is_not_learned_from_are_not(office: Office) -> None:
    late = saw(1, unlearned=Unlearned.TOKEN_EXPIRED)
    await office.fold(late, saw(2, UNKNOWN_HASH))
    await office.notebook.write()
    assert await office.seen() == await office.seen(UNKNOWN_HASH) == set()


async def test_the_policy_bounds_what_is_kept(office: Office, clock: FixedClock) -> None:
    await office.policies.apply(TENANT, Policy(seen=Seen(most=3, keep_hours=1.0)), "tests", "")
    await office.fold(*(saw(posting) for posting in range(1, 10)))
    await office.notebook.write()
    assert len(await office.seen()) == 3
    clock.now_s = uuid7_ms(uuid7(1)) / 1000 + 3601
    await office.fold(saw(20))
    await office.notebook.write()
    assert await office.seen() == set()


async def test_a_tenant_that_wants_nothing_remembered_has_nothing_written(office: Office) -> None:
    await office.policies.apply(TENANT, Policy(seen=Seen(most=0)), "tests", "")
    office.store.fails = [AssertionError("written")]
    await office.fold(saw(1))
    await office.notebook.write()
    assert office.lost == 0


@pytest.mark.parametrize("error", [SeenUnavailableError("down"), RuntimeError("a fault of ours")])
async def test_what_cannot_be_written_is_lost_and_counted_and_counting_goes_on(
    office: Office, error: Exception
) -> None:
    office.store.fails = [error]
    assert (await office.fold(saw(1), saw(2))).counted == 2
    await office.notebook.write()
    assert (await office.seen(), office.lost) == (set(), 2)
    await office.fold(saw(3))
    await office.notebook.write()
    assert (await office.seen(), office.lost) == ({3}, 2)


async def test_a_fold_that_failed_is_not_noted(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: Batch) -> FoldResult:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(office.counts, "fold", fail)
    with pytest.raises(StoreUnavailableError):
        await office.fold(saw(1))
    await office.notebook.write()
    assert await office.seen() == set()


async def test_what_waits_is_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembering, "MOST_WAITING", 5)
    await office.fold(*(saw(posting) for posting in range(1, 9)))
    await office.notebook.write()
    assert (len(await office.seen()), office.lost) == (5, 3)
    await office.fold(saw(9))
    await office.notebook.write()
    assert 9 in await office.seen()


async def test_it_writes_until_the_stop(office: Office) -> None:
    stop = asyncio.Event()

    async def pause(_: float) -> None:
        await office.fold(saw(1))
        stop.set()

    await office.notebook.run(pause, stop)
    assert await office.seen() == {1}

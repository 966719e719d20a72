"""What a person has seen is read once and kept for a moment, within bounds."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry

from nearcast_ledger.claims import UNKNOWN_HASH, Claims
from nearcast_ledger.event import AcceptedEvent, Durability, Entry, Unlearned
from nearcast_server.recollection import NotingLog, Recollection
from nearcast_store.errors import LogUnavailableError, SeenUnavailableError
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics

ANN, BOB = b"ann-----", b"bob-----"
KEEP_S, MOST = 5.0, 100


@dataclass
class Shelf:
    """A store that counts how often it is read, and waits for its gate."""

    seen: dict[bytes, set[int]] = field(default_factory=dict)
    reads: int = 0
    away: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def seen_since(
        self,
        tenant_id: int,
        subject_hashes: Sequence[bytes],
        since_ms: int,
        most: int,
    ) -> frozenset[int]:
        self.reads += 1
        await self.gate.wait()
        if self.away:
            raise SeenUnavailableError("away")
        return frozenset(
            tenant_id * 1000 + posting for each in subject_hashes for posting in self.seen.get(each, ())
        )


@dataclass
class Desk:
    """A recollection with a clock of its own."""

    shelf: Shelf = field(default_factory=Shelf)
    now_s: float = 1000.0
    keep_s: float = KEEP_S
    most_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.memory = Recollection(
            self.shelf,  # type: ignore[arg-type]
            self.keep_s,
            self.most_bytes,
            lambda: self.now_s,
            Metrics(self.registry, SERVER_METRICS),
        )

    async def ask(self, who: bytes = ANN, *, tenant_id: int = 0, most: int = MOST) -> set[int]:
        return set(await self.memory.seen_since(tenant_id, [who], 0, most))

    def looked_up(self, known: str) -> float | None:
        return self.registry.get_sample_value("nearcast_server_seen_lookups_total", {"known": known})


def reported(
    *postings: int, who: bytes = ANN, unlearned: Unlearned = Unlearned.LEARNED
) -> list[AcceptedEvent]:
    return [
        AcceptedEvent(1, unlearned, Claims(0, UUID(int=1), posting, 1, 1, 1.0, 1, 0, 1, 0, False, who, who))
        for posting in postings
    ]


async def test_who_asks_again_soon_costs_no_read() -> None:
    desk = Desk(Shelf({ANN: {1, 2}}))
    assert [await desk.ask() for _ in range(3)] == [{1, 2}] * 3
    assert desk.shelf.reads == 1
    assert (desk.looked_up("redis"), desk.looked_up("memory")) == (1.0, 2.0)


async def test_what_is_kept_is_read_again_when_its_time_is_up() -> None:
    desk = Desk(Shelf({ANN: {1}}))
    await desk.ask()
    desk.shelf.seen[ANN] = {1, 2}
    desk.now_s += KEEP_S - 0.01
    assert await desk.ask() == {1}
    desk.now_s += 0.02
    assert await desk.ask() == {1, 2}


async def test_without_a_time_nothing_is_kept() -> None:
    desk = Desk(keep_s=0.0)
    for _ in range(3):
        await desk.ask()
    desk.memory.note(0, reported(7))
    assert (desk.shelf.reads, desk.memory.kept_bytes) == (3, 0)


async def test_people_tenants_keys_and_bounds_are_kept_apart() -> None:
    desk = Desk(Shelf({ANN: {1}, BOB: {2}}))
    assert await desk.ask(ANN) == {1}
    assert await desk.ask(BOB) == {2}
    assert await desk.ask(ANN, tenant_id=3) == {3001}
    assert await desk.ask(ANN, most=5) == {1}
    assert set(await desk.memory.seen_since(0, [BOB, ANN], 0, MOST)) == {1, 2}
    assert desk.shelf.reads == 5


async def test_all_who_ask_at_the_same_time_share_one_read() -> None:
    desk = Desk(Shelf({ANN: {1}}))
    desk.shelf.gate.clear()
    asking = [asyncio.create_task(desk.ask()) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    desk.shelf.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [{1}] * 19
    assert desk.shelf.reads == 1


async def test_a_read_that_fails_fails_all_who_wait_and_is_tried_again() -> None:
    desk = Desk(Shelf({ANN: {1}}, away=True))
    answers = await asyncio.gather(desk.ask(), desk.ask(), return_exceptions=True)
    assert [type(answer) for answer in answers] == [SeenUnavailableError] * 2
    desk.shelf.away = False
    assert await desk.ask() == {1}
    assert desk.shelf.reads == 2


async def test_what_a_person_reports_here_is_left_out_at_once() -> None:
    desk = Desk(Shelf({ANN: {1}}))
    await desk.ask()
    desk.memory.note(0, reported(7, 8))
    assert await desk.ask() == {1, 7, 8}
    assert await desk.ask(BOB) == set()
    assert desk.shelf.reads == 2


async def test_what_was_reported_outlives_a_read_that_came_too_early_for_it() -> None:
    """The keeper has not written it yet."""
    desk = Desk()
    await desk.ask(BOB)
    desk.memory.note(0, reported(7))
    assert await desk.ask() == {7}
    desk.now_s += KEEP_S - 0.1
    desk.memory.note(0, reported(8))
    desk.now_s += 0.2
    assert await desk.ask() == {7, 8}
    desk.now_s += KEEP_S
    assert await desk.ask() == set()


async def test_what_is_reported_during_the_read_is_not_lost() -> None:
    desk = Desk(Shelf({ANN: {1}}))
    desk.shelf.gate.clear()
    asking = asyncio.create_task(desk.ask())
    await asyncio.sleep(0)
    desk.memory.note(0, reported(7))
    desk.shelf.gate.set()
    assert await asking == {1, 7}
    assert await desk.ask() == {1, 7}


@pytest.mark.parametrize(
    "events",
    [
        reported(7, unlearned=Unlearned.TOKEN_SUBJECT),
        reported(7, who=UNKNOWN_HASH),
        [AcceptedEvent(1, Unlearned.TOKEN_MISSING)],
    ],
)
async def test_what_says_nothing_of_a_person_is_not_noted(events: list[AcceptedEvent]) -> None:
    desk = Desk()
    await desk.ask()
    kept_bytes = desk.memory.kept_bytes
    desk.memory.note(0, events)
    assert await desk.ask() == set()
    assert desk.memory.kept_bytes == kept_bytes


async def test_a_tenant_that_never_asks_takes_no_memory() -> None:
    desk = Desk()
    await desk.ask(tenant_id=1)
    kept_bytes = desk.memory.kept_bytes
    desk.memory.note(0, reported(7))
    assert desk.memory.kept_bytes == kept_bytes


async def test_only_what_the_log_has_taken_is_noted() -> None:
    class Log:
        away = True

        async def append(self, entry: Entry) -> Durability:
            if self.away:
                raise LogUnavailableError("away")
            return Durability.FSYNC

    desk, log = Desk(), Log()
    await desk.ask()
    noting, entry = NotingLog(log, desk.memory), Entry(0, 0, "g", Durability.MEMORY, tuple(reported(7)))
    with pytest.raises(LogUnavailableError):
        await noting.append(entry)
    assert await desk.ask() == set()
    log.away = False
    assert await noting.append(entry) is Durability.FSYNC
    assert await desk.ask() == {7}


async def test_memory_is_bounded_whoever_asks_and_reports() -> None:
    desk = Desk(most_bytes=200_000)
    desk.shelf.seen = {b"%08d" % number: set(range(number % 100)) for number in range(2000)}
    for who in desk.shelf.seen:
        await desk.ask(who)
        desk.memory.note(0, reported(*range(200, 250), who=who))
        assert 0 < desk.memory.kept_bytes <= 200_000
    desk.memory.note(0, reported(*range(100_000), who=ANN))
    assert desk.memory.kept_bytes <= 200_000
    assert len(await desk.ask(ANN)) == MOST


async def test_what_is_too_old_goes_while_others_come() -> None:
    desk = Desk()
    for number in range(100):
        await desk.ask(b"old-%04d" % number)
    before, desk.now_s = desk.memory.kept_bytes, desk.now_s + 2 * KEEP_S
    for number in range(100):
        await desk.ask(b"new-%04d" % number)
    assert desk.memory.kept_bytes == before

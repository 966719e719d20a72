"""Reading a customer's own table of behaviour into the event log: again and again, each row one event.

A page is judged and appended first, and the cursor moves once the log has acknowledged it: an end in between
appends it again, and the identity of its events, made from the row or its token, lets them count once.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from nearcast_config.source import Source, parse_kinds
from nearcast_ledger.event import AcceptedEvent, Durability, Entry
from nearcast_ledger.horizon import FUTURE_TOLERANCE_S
from nearcast_ledger.identity import Identity
from nearcast_statskeeper.pacing import Clock
from nearcast_statskeeper.translating import report_of
from nearcast_store.behaviour.cursors import Cursor, PostgresSourceCursors, Refused, Step
from nearcast_store.behaviour.errors import SourceError
from nearcast_store.behaviour.table import BehaviourRow, BehaviourTable, Place, Reading
from nearcast_store.errors import LogUnavailableError
from nearcast_store.intake.batching import batches, once, weighed
from nearcast_store.intake.judging import Grounds, Judged, judge
from nearcast_store.log.protocol import EventLog
from nearcast_telemetry.logs import redact
from nearcast_telemetry.metrics import Metrics
from nearcast_telemetry.sourcemetrics import (
    KEEPER_SOURCE_ACCEPTED,
    KEEPER_SOURCE_LAG_SECONDS,
    KEEPER_SOURCE_READ,
    KEEPER_SOURCE_REFUSED,
)

MOST_AHEAD = 100
MOST_KNOWN = 200_000
ACCEPTED = ""

GroundsOf = Callable[[], Awaitable[Grounds]]
"""What the source's tenant judges by now. Raises StoreError."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """Where accepted events go, and as whose."""

    log: EventLog
    durability: Durability
    gateway_id: str

    async def append(
        self, tenant_id: int, now_us: int, accepted: Sequence[tuple[AcceptedEvent, int]]
    ) -> None:
        """All of it is acknowledged when this returns. Raises LogUnavailableError."""
        if accepted:
            entries = [
                Entry(tenant_id, now_us, self.gateway_id, self.durability, events)
                for events in batches(accepted)
            ]
            await asyncio.gather(*(self.log.append(entry) for entry in entries))


@dataclass(slots=True)
class Counted:
    """What one run came to."""

    read: int = 0
    accepted: int = 0
    refused: int = 0

    def said(self) -> dict[str, object]:
        """For the log; nothing when there was nothing."""
        return {"read": self.read, "accepted": self.accepted, "refused": self.refused} if self.read else {}


class SourceReader:
    """One run reads all there is, from a while before the cursor; `go_on` is asked before each page."""

    def __init__(
        self,
        source: Source,
        grounds: GroundsOf,
        outbox: Outbox,
        cursors: PostgresSourceCursors,
        metrics: Metrics,
        clock: Clock,
        go_on: Callable[[], Awaitable[bool]],
    ) -> None:
        self._source = source
        self._table = BehaviourTable(source)
        self._grounds = grounds
        self._outbox = outbox
        self._cursors = cursors
        self._metrics = metrics
        self._clock = clock
        self._go_on = go_on
        self._kinds = parse_kinds(source.kinds)
        self._known = Known()

    async def run(self) -> dict[str, object]:
        """Fields for the log. Raises StoreError, and the cursor stands after the last page that was taken."""
        grounds = await self._grounds()
        try:
            return (await self._read(grounds)).said()
        except (SourceError, LogUnavailableError) as error:
            await self._cursors.troubled(grounds.tenant_id, self._source.name, redact(str(error)))
            raise

    async def _read(self, grounds: Grounds) -> Counted:
        counted, now_s = Counted(), self._clock()
        place = await self._start(grounds.tenant_id, now_s)
        if isinstance(place, float):
            self._known.forget_before(place)
        async with self._table.open() as reading:
            if await self._read_pages(reading, place, grounds, counted):
                ahead = await reading.ahead(now_s + FUTURE_TOLERANCE_S, MOST_AHEAD)
                await self._take(grounds, ahead, None, counted)
                await self._cursors.caught_up(grounds.tenant_id, self._source.name)
                self._metrics.set(KEEPER_SOURCE_LAG_SECONDS, 0)
        return counted

    async def _read_pages(self, reading: Reading, place: Place, grounds: Grounds, counted: Counted) -> bool:
        """Whether it came to the end."""
        until_s = self._clock() + FUTURE_TOLERANCE_S
        while await self._go_on():
            page = await reading.page(place, until_s, self._source.batch_rows)
            if page.rows:
                last = page.rows[-1]
                place = (last.time, last.id)
                await self._take(grounds, page.rows, _cursor_at(last, self._clock()), counted)
                self._metrics.set(KEEPER_SOURCE_LAG_SECONDS, max(0.0, self._clock() - last.seconds))
            if page.ended:
                return True
        return False

    async def _start(self, tenant_id: int, now_s: float) -> Place:
        cursor = await self._cursors.cursor(tenant_id, self._source.name)
        if cursor is None:
            return now_s - self._source.start_hours * 3600
        if self._source.overlap_s == 0 and cursor.id:
            return cursor.time, cursor.id
        return min(cursor.seconds, now_s) - self._source.overlap_s

    async def _take(
        self, grounds: Grounds, rows: Sequence[BehaviourRow], cursor: Cursor | None, counted: Counted
    ) -> None:
        """Append what is accepted, then remember the page; one that says nothing new is not written down."""
        now_s = self._clock()
        sifted = self._sift(grounds, rows, int(now_s * 1000))
        await self._outbox.append(grounds.tenant_id, int(now_s * 1_000_000), sifted.events)
        step = sifted.step(cursor)
        if step.read == 0:
            return
        reasons = await self._cursors.move(grounds.tenant_id, self._source.name, step)
        self._known.learn(sifted)
        counted.read += step.read
        counted.accepted += step.accepted
        counted.refused += len(reasons)
        self._metrics.add(KEEPER_SOURCE_READ, step.read)
        self._metrics.add(KEEPER_SOURCE_ACCEPTED, step.accepted)
        for reason in reasons:
            self._metrics.add(KEEPER_SOURCE_REFUSED, 1, reason)

    def _sift(self, grounds: Grounds, rows: Sequence[BehaviourRow], now_ms: int) -> "Sifted":
        sifted, seen = Sifted(), set[Identity]()
        for row in rows:
            key = key_of(row)
            before = self._known.outcome(key)
            if before == ACCEPTED:
                continue
            report = report_of(row, self._source.name, self._kinds)
            judged = once(judge(grounds, report, now_ms), grounds.tenant_id, seen)
            if judged.outcome.code == "OK":
                sifted.accept(key, row.seconds, judged, report.size_bytes)
            elif judged.outcome.reason != before:
                sifted.refuse(key, row, judged)
        return sifted


@dataclass(slots=True)
class Sifted:
    """What is new in a page: rows to append, rows to write down as refused."""

    events: list[tuple[AcceptedEvent, int]] = field(default_factory=list)
    accepted: dict[bytes, float] = field(default_factory=dict)
    refused: dict[bytes, tuple[float, Refused]] = field(default_factory=dict)

    def accept(self, key: bytes, seconds: float, judged: Judged, size_bytes: int) -> None:
        """It is appended, unless an equal one was."""
        self.accepted[key] = seconds
        self.events += weighed(judged, size_bytes)

    def refuse(self, key: bytes, row: BehaviourRow, judged: Judged) -> None:
        """It is written down."""
        said = judged.outcome
        detail = f"{said.field} {said.message}".strip()
        self.refused[key] = (row.seconds, Refused(key, row.id, row.time, said.reason, detail))

    def step(self, cursor: Cursor | None) -> Step:
        """What is remembered of the page."""
        refused = [refused for _, refused in self.refused.values()]
        read = len(self.accepted) + len(refused)
        return Step(cursor, read, len(self.accepted), refused, list(self.accepted))


class Known:
    """What became of the rows that the next runs read again; beyond MOST_KNOWN they are appended again."""

    def __init__(self) -> None:
        self._rows: dict[bytes, tuple[float, str]] = {}

    def outcome(self, key: bytes) -> str | None:
        """ACCEPTED, the reason it was refused for, or None."""
        return self._rows.get(key, (0.0, None))[1]

    def learn(self, sifted: Sifted) -> None:
        """Remember a page."""
        self._rows |= {key: (seconds, ACCEPTED) for key, seconds in sifted.accepted.items()}
        self._rows |= {key: (seconds, row.reason) for key, (seconds, row) in sifted.refused.items()}
        for key in list(self._oldest(len(self._rows) - MOST_KNOWN)):
            del self._rows[key]

    def forget_before(self, seconds: float) -> None:
        """No run will read them again."""
        self._rows = {key: known for key, known in self._rows.items() if not known[0] < seconds}

    def _oldest(self, number: int) -> Iterator[bytes]:
        for _, key in zip(range(number), self._rows, strict=False):
            yield key


def _cursor_at(row: BehaviourRow, now_s: float) -> Cursor:
    """A row of a fast clock must not hide those that come after it: then it is the time that counts."""
    return Cursor(now_s, "", "") if row.seconds > now_s else Cursor(row.seconds, row.time, row.id)


def key_of(row: BehaviourRow) -> bytes:
    """What a row is known by here: as its event is, by time and id."""
    return blake2b(f"{row.seconds!r} {row.id}".encode(errors="surrogatepass"), digest_size=16).digest()


def looked_at(
    source: Source, grounds: Grounds, rows: Sequence[BehaviourRow], now_ms: int
) -> list[tuple[BehaviourRow, str, Judged]]:
    """What would become of rows, with the kind each is read as; nothing is recorded."""
    kinds = parse_kinds(source.kinds)
    reports = [report_of(row, source.name, kinds) for row in rows]
    return [
        (row, report.kind, judge(grounds, report, now_ms)) for row, report in zip(rows, reports, strict=True)
    ]

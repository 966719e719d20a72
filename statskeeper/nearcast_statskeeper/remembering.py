"""Remembers for each person what was shown, after it was counted: late, forgetful, and never in the way."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence

from nearcast_config.policy import Seen
from nearcast_ledger.claims import UNKNOWN_HASH
from nearcast_ledger.event import Unlearned
from nearcast_ledger.kinds import IMPRESSION
from nearcast_statskeeper.pacing import Clock, Pause
from nearcast_statskeeper.roster import Roster
from nearcast_store.counting.columns import LedgerRows, columns_of, ms_of
from nearcast_store.counting.protocol import Batch, FoldResult, Ledger, LedgerRow
from nearcast_store.errors import StoreError
from nearcast_store.seen.protocol import SeenStore, Sightings
from nearcast_telemetry.foldmetrics import KEEPER_SEEN_LOST
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics

WRITE_EVERY_S = 0.2
MOST_WAITING = 50_000
PEOPLE_AT_ONCE = 500
_MS_PER_HOUR = 3_600_000

log = logger("keeper.seen")

Person = tuple[int, bytes]


class Notebook:
    """What was counted a moment ago waits here, at most MOST_WAITING items; what is beyond them is lost."""

    def __init__(self, store: SeenStore, roster: Roster, metrics: Metrics, clock: Clock) -> None:
        self._store = store
        self._roster = roster
        self._metrics = metrics
        self._clock = clock
        self._shown: defaultdict[Person, dict[int, int]] = defaultdict(dict)
        self._waiting = 0
        self._away = False

    def note(self, rows: Sequence[LedgerRow]) -> None:
        """These are counted, or were before: a repeat is written again, and changes nothing."""
        lost = 0
        for tenant_id, subject_hash, posting, shown_ms in _impressions(columns_of(rows)):
            if subject_hash == UNKNOWN_HASH:
                continue
            if self._waiting >= MOST_WAITING:
                lost += 1
                continue
            shown = self._shown[tenant_id, subject_hash]
            known_ms = shown.get(posting)
            if known_ms is None:
                self._waiting += 1
                shown[posting] = shown_ms
            elif known_ms < shown_ms:
                shown[posting] = shown_ms
        if lost:
            self._metrics.add(KEEPER_SEEN_LOST, lost)

    async def run(self, pause: Pause, stop: asyncio.Event) -> None:
        """Write now and then until the stop."""
        while not stop.is_set():
            await pause(WRITE_EVERY_S)
            await self.write()

    async def write(self) -> None:
        """Write what waits; what cannot be written is lost, as something newer is worth more by then."""
        shown, self._shown, self._waiting = self._shown, defaultdict(dict), 0
        people = sorted(shown)
        for start in range(0, len(people), PEOPLE_AT_ONCE):
            part = {person: shown[person] for person in people[start : start + PEOPLE_AT_ONCE]}
            try:
                await self._write(part)
                self._away = False
            except Exception as error:  # noqa: BLE001 - whatever fails here, counting goes on
                self._metrics.add(KEEPER_SEEN_LOST, sum(map(len, part.values())))
                self._say(error)

    async def _write(self, shown: dict[Person, dict[int, int]]) -> None:
        bounds = {tenant_id: await self._roster.seen(tenant_id) for tenant_id in {one for one, _ in shown}}
        now_ms = int(self._clock() * 1000)
        sightings = [
            _sightings(person, postings, bounds[person[0]], now_ms)
            for person, postings in shown.items()
            if bounds[person[0]].most
        ]
        if sightings:
            await self._store.add(sightings)

    def _say(self, error: Exception) -> None:
        if not isinstance(error, StoreError):
            log.error("seen.failed", cause=error)
        elif not self._away:
            log.warning("seen.not_written", reason=error)
        self._away = True


class NotingLedger:
    """A ledger whose folds are noted once they are committed."""

    def __init__(self, ledger: Ledger, notebook: Notebook) -> None:
        self._ledger = ledger
        self._notebook = notebook

    async def fold(self, batch: Batch) -> FoldResult:
        """As the ledger does."""
        result = await self._ledger.fold(batch)
        self._notebook.note(batch.rows)
        return result


def _impressions(rows: LedgerRows) -> Iterable[tuple[int, bytes, int, int]]:
    """Tenant, subject, posting and milliseconds of what people saw and is learned from."""
    table = rows.rows
    seen = table["claimed"] & (table["kind"] == IMPRESSION) & (table["unlearned"] == Unlearned.LEARNED)
    shown = rows.where(seen)
    return zip(
        shown.shared("tenant_id").tolist(),
        shown.decided("subject_hash").tolist(),
        shown.rows["posting"].tolist(),
        ms_of(shown.rows["high"]).tolist(),
        strict=True,
    )


def _sightings(person: Person, shown_ms: dict[int, int], bounds: Seen, now_ms: int) -> Sightings:
    keep_ms = int(bounds.keep_hours * _MS_PER_HOUR)
    return Sightings(*person, shown_ms, bounds.most, now_ms - keep_ms, keep_ms)

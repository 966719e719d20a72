"""What people have seen, kept for a moment: one who asks again soon costs no round trip."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from nearcast_ledger.claims import UNKNOWN_HASH
from nearcast_ledger.event import AcceptedEvent, Durability, Entry, Unlearned
from nearcast_store.log.protocol import EventLog
from nearcast_store.seen.protocol import SeenStore
from nearcast_telemetry.answermetrics import SERVER_SEEN_LOOKUPS
from nearcast_telemetry.metrics import Metrics

# What an entry takes: objects and places in dictionaries, and for each posting a number and its places.
_PERSON_BYTES = 1000
_POSTING_BYTES = 150

_Key = tuple[int, bytes]
_Question = tuple[tuple[bytes, ...], int]


class _Person:
    """What was read, and what was reported here and may not have been there to be read."""

    __slots__ = ("ends_at_s", "merged", "question", "reported", "reported_at_s", "seen")

    def __init__(self, ends_at_s: float) -> None:
        self.question: _Question | None = None
        self.seen: frozenset[int] = frozenset()
        self.reported: dict[int, None] = {}
        self.merged = True
        self.reported_at_s = 0.0
        self.ends_at_s = ends_at_s

    def report(self, posting: int, now_s: float, most: int) -> None:
        self.reported[posting] = None
        self.reported_at_s, self.merged = now_s, False
        if len(self.reported) > most:
            del self.reported[next(iter(self.reported))]

    def all(self) -> frozenset[int]:
        if not self.merged:
            self.seen, self.merged = self.seen.union(self.reported), True
        return self.seen

    @property
    def weight(self) -> int:
        return _PERSON_BYTES + _POSTING_BYTES * (len(self.seen) + len(self.reported))


class Recollection:
    """Reads through to the store, once for all who ask for a person at the same time.

    An entry lasts `keep_s`; all of them take at most `most_bytes`, and the oldest go first. What a person
    reports here is added at once, where a tenant asks for what was seen at all.
    """

    def __init__(
        self,
        store: SeenStore,
        keep_s: float,
        most_bytes: int,
        monotonic: Callable[[], float],
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._keep_s = keep_s
        self._most_bytes = most_bytes
        self._monotonic = monotonic
        self._metrics = metrics
        self._people: dict[_Key, _Person] = {}
        self._weights: dict[_Key, int] = {}
        self._readings: dict[tuple[_Key, _Question], asyncio.Task[frozenset[int]]] = {}
        self._most_of: dict[int, int] = {}
        self.kept_bytes = 0

    async def seen_since(
        self, tenant_id: int, subject_hashes: Sequence[bytes], since_ms: int, most: int
    ) -> frozenset[int]:
        """As the store says, or said within the last `keep_s`. The last hash is the one in use."""
        if not self._keep_s:
            return await self._store.seen_since(tenant_id, subject_hashes, since_ms, most)
        key, question = (tenant_id, subject_hashes[-1]), (tuple(subject_hashes), most)
        person = self._people.get(key)
        if person is not None and person.question == question and self._monotonic() < person.ends_at_s:
            self._metrics.add(SERVER_SEEN_LOOKUPS, 1, "memory")
            return person.all()
        self._metrics.add(SERVER_SEEN_LOOKUPS, 1, "redis")
        self._most_of[tenant_id] = most
        reading = self._readings.get((key, question))
        if reading is None:
            reading = asyncio.create_task(self._read(key, question, since_ms))
            self._readings[key, question] = reading
            reading.add_done_callback(lambda done: self._finished((key, question), done))
        # Shielded: the read belongs to all who wait for it, not to the first who gives up.
        return await asyncio.shield(reading)

    def note(self, tenant_id: int, events: Iterable[AcceptedEvent]) -> None:
        """These were acknowledged: the keeper will say so too, a moment later."""
        most = self._most_of.get(tenant_id)
        if most is None:
            return
        for event in events:
            claims = event.claims
            if claims is not None and event.unlearned is Unlearned.LEARNED:
                self._report((tenant_id, claims.subject_hash), claims.posting, most)

    def _report(self, key: _Key, posting: int, most: int) -> None:
        if key[1] == UNKNOWN_HASH:
            return
        now_s = self._monotonic()
        person = self._people.get(key) or _Person(now_s)
        person.report(posting, now_s, most)
        self._keep(key, person)

    async def _read(self, key: _Key, question: _Question, since_ms: int) -> frozenset[int]:
        found = await self._store.seen_since(key[0], question[0], since_ms, question[1])
        now_s = self._monotonic()
        person, before = _Person(now_s + self._keep_s), self._people.pop(key, None)
        person.question, person.seen = question, found
        if before is not None and now_s - before.reported_at_s < self._keep_s:
            person.reported, person.reported_at_s = before.reported, before.reported_at_s
            person.merged = False
        seen = person.all()
        self._keep(key, person)
        return seen

    def _keep(self, key: _Key, person: _Person) -> None:
        """The oldest stand first."""
        self._people[key] = person
        self.kept_bytes += person.weight - self._weights.get(key, 0)
        self._weights[key] = person.weight
        now_s = self._monotonic()
        for old in list(islice(self._people, 2)):
            # Two for each that comes: so all that is too old has gone before as many have come again.
            one = self._people[old]
            if max(one.ends_at_s, one.reported_at_s + self._keep_s) <= now_s:
                self._drop(old)
        while self.kept_bytes > self._most_bytes:
            self._drop(next(iter(self._people)))

    def _drop(self, key: _Key) -> None:
        del self._people[key]
        self.kept_bytes -= self._weights.pop(key)

    def _finished(self, reading: tuple[_Key, _Question], done: asyncio.Task[frozenset[int]]) -> None:
        del self._readings[reading]
        if not done.cancelled():
            done.exception()  # all who wait for it may have gone; asking for it keeps asyncio quiet


class NotingLog:
    """A log whose entries are noted once they are appended."""

    def __init__(self, log: EventLog, recollection: Recollection) -> None:
        self._log = log
        self._recollection = recollection

    async def append(self, entry: Entry) -> Durability:
        """As the log does."""
        reached = await self._log.append(entry)
        self._recollection.note(entry.tenant_id, entry.events)
        return reached

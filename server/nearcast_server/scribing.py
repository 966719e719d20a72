"""Writing the replica of a tenant: its items as the index has them, its statistics as the ledger has them."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from nearcast_catalogue.item import ServedItem
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.control import Declined
from nearcast_replica.dictionaries import TooManyNamesError
from nearcast_replica.errors import SecondWriterError
from nearcast_replica.files import Files
from nearcast_replica.growing import GrowingGeneration
from nearcast_replica.sizing import Reserve
from nearcast_replica.writing import SegmentWriter
from nearcast_server.evidence import Evidence
from nearcast_server.following import Following
from nearcast_server.priors import Priors
from nearcast_server.telling import Births, tell
from nearcast_server.tenancy import View
from nearcast_store.errors import IndexUnavailableError, StoreError, StoreUnavailableError
from nearcast_store.index.following import IndexFollower
from nearcast_store.index.replicating import Replicator
from nearcast_telemetry.logs import logger

CHANGES_EVERY_S = 0.05
AWAY_S = 0.5
STANDBY_S = 1.0
# What does not fit is looked at again now and then: it may have become less.
DECLINED_S = 300.0
_TOLD_AT_ONCE = 10_000
log = logger("scribe")


class DeclinedError(Exception):
    """No replica is held of this tenant: it is to be asked of the index."""


class _PolicyChangedError(Exception):
    """There are other kinds of event now, so the replica needs other columns."""


class Memory:
    """How much of it the replicas of a host may take together, while no merge is under way."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._taken: dict[int, int] = {}

    def take(self, tenant_id: int, size_bytes: int) -> None:
        """Raises DeclinedError, and then the tenant holds none."""
        self._taken.pop(tenant_id, None)
        left = self._most_bytes - sum(self._taken.values())
        if size_bytes > left:
            raise DeclinedError(
                f"it needs {_mib(size_bytes)} MiB, and {max(left, 0) >> 20} MiB"
                f" of {self._most_bytes >> 20} in replica.memory_mib are left"
            )
        self._taken[tenant_id] = size_bytes

    def give_back(self, tenant_id: int) -> None:
        """The tenant holds nothing any more."""
        self._taken.pop(tenant_id, None)


@dataclass(frozen=True, slots=True)
class Rules:
    """How often to look; `restate_s` is how long no statistic may stand, as evidence ages."""

    build: str
    counts_every_s: float
    restate_s: float


class TenantScribe:
    """One tenant. `render` gives the display message of an item. Never raises: what fails is tried again."""

    def __init__(
        self,
        files: Files,
        follower: IndexFollower,
        following: Following,
        render: Callable[[ServedItem], bytes],
        memory: Memory,
        rules: Rules,
        clock: Callable[[], float],
    ) -> None:
        self._files = files
        self._follower = follower
        self._following = following
        self._render = render
        self._memory = memory
        self._rules = rules
        self._clock = clock
        self._evidence: Evidence | None = None
        self._told = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Write until told to stop; what was written last is saved."""
        while not stop.is_set():
            pause_s = await self._live(stop)
            await _pause(stop, pause_s)

    async def _live(self, stop: asyncio.Event) -> float:
        """One writer's life; how long to wait before the next."""
        try:
            view = await self._following.view(None)
            writer = SegmentWriter(self._files, self._rules.build, _kinds(view), self._clock)
        except SecondWriterError:
            self._say("scribe.standing_by", "another process writes it")
            return STANDBY_S
        except (StoreError, TimeoutError, OSError) as error:
            self._say("scribe.waiting", str(error))
            return AWAY_S
        self._evidence = view.evidence
        try:
            await self._write(writer, view, stop)
        except (DeclinedError, TooManyNamesError, OSError, MemoryError) as error:
            writer.decline(_why(error))
            self._memory.give_back(self._files.tenant_id)
            self._say("scribe.declined", str(error))
            return DECLINED_S
        except _PolicyChangedError:
            return 0.0
        except Exception as error:  # noqa: BLE001 - a fault with one tenant stops no other
            log.error("scribe.failed", error, tenant_id=self._files.tenant_id)
            return AWAY_S
        finally:
            writer.close()
        return 0.0

    async def _write(self, writer: SegmentWriter, view: View, stop: asyncio.Event) -> None:
        births = Births(writer.kinds, lambda: self._evidence)
        replicator = Replicator(self._follower, writer, self._files, self._render, self._prime, births)
        replicator.restore()
        statistics = asyncio.create_task(self._keep_statistics(writer, view, stop))
        try:
            while not stop.is_set() and not statistics.done():
                pause_s = await self._carry(replicator, writer)
                await _pause(stop, pause_s)
            if statistics.done():
                statistics.result()
        finally:
            statistics.cancel()
            with suppress(asyncio.CancelledError, _PolicyChangedError):
                await statistics
            await replicator.save()
            if stop.is_set():
                writer.leave()

    async def _carry(self, replicator: Replicator, writer: SegmentWriter) -> float:
        """One turn of the changes; how long to wait for the next."""
        resyncs = replicator.standing.resyncs
        try:
            if writer.serving is None:
                count = await self._follower.count(self._files.tenant_id)
                self._memory.take(self._files.tenant_id, Reserve().bytes_of(count, len(writer.kinds)))
            more = await replicator.step()
        except IndexUnavailableError as error:
            writer.tend()
            self._say("scribe.index_unavailable", str(error))
            return AWAY_S
        if writer.serving is not None:
            self._memory.take(self._files.tenant_id, writer.serving.generation.file.size)
            self._told = ""
        if replicator.standing.resyncs > resyncs:
            reason = replicator.standing.reason
            log.info("scribe.read_anew", tenant_id=self._files.tenant_id, reason=reason)
        return 0.0 if more else CHANGES_EVERY_S

    async def _keep_statistics(self, writer: SegmentWriter, first: View, stop: asyncio.Event) -> None:
        """What changed, at once; everything now and then, and when policy or priors are others.

        Once priors differ from place to place every item is told of, also one that nobody has seen; and at
        the start, as nobody knows what was said before.
        """
        kinds, restated_at = _kinds(first), float("-inf")
        told: Priors | None = None
        while not stop.is_set():
            try:
                view = await self._following.view(None)
            except (StoreUnavailableError, TimeoutError) as error:
                log.debug("scribe.counts_unavailable", tenant_id=self._files.tenant_id, error=error)
                await _pause(stop, self._rules.counts_every_s)
                continue
            if _kinds(view) != kinds:
                raise _PolicyChangedError
            self._evidence, changed = view.evidence, self._following.notice(view).postings
            is_due = self._clock() - restated_at >= self._rules.restate_s
            serving, priors = writer.serving, view.evidence.priors
            if serving is not None:
                is_new = told is not priors
                if is_new and (told is None or told.differ or priors.differ):
                    postings: Sequence[int] = serving.postings()
                elif changed is None or is_due or is_new:
                    postings = list(view.evidence.rows)
                else:
                    postings = list(changed)
                if changed is None or is_due or is_new:
                    told, restated_at = priors, self._clock()
                for part in _parts(postings):
                    tell(writer.put_statistics, view.evidence, writer.serving or serving, part)
                    await asyncio.sleep(0)
            await _pause(stop, self._rules.counts_every_s)

    def _prime(self, generation: GrowingGeneration) -> None:
        """Nobody shall be shown items as if nothing were known of them."""
        evidence = self._evidence
        if evidence is not None:
            postings = generation.postings() if evidence.priors.differ else list(evidence.rows)
            for part in _parts(postings):
                tell(generation.put_statistics, evidence, generation, part)

    def _say(self, event: str, reason: str) -> None:
        """Say a fault once, until it is another or over."""
        if self._told != event + reason:
            self._told = event + reason
            log.warning(event, tenant_id=self._files.tenant_id, reason=reason)


def _why(error: Exception) -> Declined:
    if isinstance(error, DeclinedError):
        return Declined.MEMORY
    return Declined.NAMES if isinstance(error, TooManyNamesError) else Declined.SYSTEM


def _mib(size_bytes: int) -> int:
    return -(-size_bytes // (1 << 20))


def _kinds(view: View) -> tuple[int, ...]:
    """Of which the replica is told; how often an item was shown only where somebody asks, or tries to."""
    tried = (each.view for each in (view.contender, view.shadow) if each is not None)
    asks = any(each.revision.policy.newcomers.have_budget for each in (view, *tried))
    return tuple(sorted((*view.evidence.numbers, *((IMPRESSION,) if asks else ()))))


def _parts(postings: Sequence[int]) -> Iterator[Sequence[int]]:
    rest = iter(postings)
    while part := list(islice(rest, _TOLD_AT_ONCE)):
        yield part


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """So long, or until the stop; others have a turn in any case."""
    if not seconds:
        await asyncio.sleep(0)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()

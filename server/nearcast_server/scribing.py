"""Writing the replica of a tenant: its items as the index has them, its statistics as the ledger has them."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from nearcast_catalogue.item import ServedItem
from nearcast_ledger.kinds import IMPRESSION
from nearcast_replica.control import Declined
from nearcast_replica.dictionaries import TooManyNamesError
from nearcast_replica.errors import SecondWriterError
from nearcast_replica.files import Files
from nearcast_replica.growing import GrowingGeneration
from nearcast_replica.merging import Merge
from nearcast_replica.sizing import Reserve
from nearcast_replica.writing import SegmentWriter
from nearcast_server.evidence import Evidence
from nearcast_server.following import Following
from nearcast_server.telling import Births, parts, tell, tell_all
from nearcast_server.tenancy import View
from nearcast_store.errors import IndexUnavailableError, StoreError, StoreUnavailableError
from nearcast_store.index.following import IndexFollower
from nearcast_store.index.replicating import Replicator
from nearcast_telemetry.heap import give_back
from nearcast_telemetry.logs import logger
from nearcast_telemetry.pacing import pause

CHANGES_EVERY_S = 0.05
AWAY_S = 0.5
STANDBY_S = 1.0
# What does not fit is looked at again now and then: it may have become less.
DECLINED_S = 300.0
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
        # By the rules of what is served; `wanted` is the last there is.
        self._evidence: Evidence | None = None
        self._wanted: Evidence | None = None
        self._told = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Write until told to stop; what was written last is saved."""
        while not stop.is_set():
            pause_s = await self._live(stop)
            await pause(stop, pause_s)

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
        self._evidence = self._wanted = view.evidence
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
        if writer.serving is not None and writer.serving.rules != view.evidence.rules:
            await self._renew(writer, replicator, view.evidence)
        statistics = asyncio.create_task(self._keep_statistics(writer, replicator, view, stop))
        try:
            while not stop.is_set() and not statistics.done():
                pause_s = await self._carry(replicator, writer)
                await pause(stop, pause_s)
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

    async def _keep_statistics(
        self, writer: SegmentWriter, replicator: Replicator, first: View, stop: asyncio.Event
    ) -> None:
        """What changed, at once; everything now and then, and in another generation when rules are others.

        At the start every item is told of where priors differ from place to place, also one that nobody has
        seen, as nobody knows what was said before.
        """
        kinds, told_at = _kinds(first), float("-inf")
        while not stop.is_set():
            try:
                view = await self._following.view(None)
            except (StoreUnavailableError, TimeoutError) as error:
                log.debug("scribe.counts_unavailable", tenant_id=self._files.tenant_id, error=error)
                await pause(stop, self._rules.counts_every_s)
                continue
            if _kinds(view) != kinds:
                raise _PolicyChangedError
            evidence, changed = view.evidence, self._following.notice(view).postings
            self._wanted, began, serving = evidence, self._clock(), writer.serving
            if serving is not None and serving.rules != evidence.rules:
                told_at = began if await self._renew(writer, replicator, evidence) else float("-inf")
                await pause(stop, self._rules.counts_every_s)
                continue
            self._evidence = evidence
            if serving is not None:
                if changed is None or began - told_at >= self._rules.restate_s:
                    is_first, told_at = told_at < 0, began
                    everyone = is_first and evidence.priors.differ
                    changed = serving.postings() if everyone else list(evidence.rows)
                for part in parts(list(changed)):
                    tell(writer.put_statistics, evidence, writer.serving or serving, part)
                    await asyncio.sleep(0)
            await pause(stop, self._rules.counts_every_s)

    async def _renew(self, writer: SegmentWriter, replicator: Replicator, evidence: Evidence) -> bool:
        """By other rules all statistics are others: readers are given all of them at once, or none.

        Items that change meanwhile are told of by the rules before, and last of all once more. False when
        another generation came first.
        """
        if not await replicator.settle():
            return False
        merge = writer.begin_merge()
        telling = asyncio.create_task(asyncio.to_thread(_told_by, evidence, merge))
        try:
            merged = await asyncio.shield(telling)
        except BaseException:
            await asyncio.wait([telling])
            writer.drop_merge(merge)
            raise
        is_served = writer.finish_merge(merge, merged, partial(tell, merged.put_statistics, evidence, merged))
        if is_served:
            self._evidence = evidence
        give_back()
        return is_served

    def _prime(self, generation: GrowingGeneration) -> None:
        """What was read anew is served next."""
        if self._wanted is not None:
            self._evidence = self._wanted
            tell_all(self._wanted, generation)

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


def _told_by(evidence: Evidence, merge: Merge) -> GrowingGeneration:
    merged = merge.run()
    tell_all(evidence, merged)
    return merged

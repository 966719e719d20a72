"""Looks at the stores before a process is ready and while it runs, and knows which of them is safe."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nearcast_config.process import ProcessConfig
from nearcast_ledger.event import Durability
from nearcast_store.errors import StoreError
from nearcast_store.preflight.finding import STORES, Finding, Severity, Store, UnsafeStoreError
from nearcast_store.preflight.gathering import gather_postgres, gather_redis
from nearcast_store.preflight.postgres_rules import postgres_findings
from nearcast_store.preflight.redis_rules import redis_findings
from nearcast_store.preflight.rule import Demands, Process
from nearcast_telemetry.logs import logger
from nearcast_telemetry.pacing import pause

log = logger("preflight")
FIRST_RETRY_S = 0.25
LONGEST_RETRY_S = 2.0

Look = Callable[[], Awaitable[Sequence[Finding]]]
Healed = Callable[[Store], Awaitable[None]]


async def _nothing(_: Store) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Inspection:
    """One server, the stores it is, and how it is looked at."""

    stores: tuple[Store, ...]
    look: Look


def inspections(
    config: ProcessConfig, process: Process, clock: Callable[[], float] = time.time
) -> tuple[Inspection, ...]:
    """Every server that the settings name, once."""
    durability = Durability[config.log.durability.upper()]
    geo_url, log_url = config.redis.geo_url, config.redis.log_url or config.redis.geo_url

    def demands() -> Demands:
        today = datetime.fromtimestamp(clock(), UTC).date()
        return Demands(process, durability, today, config.preflight.state)

    async def postgres() -> Sequence[Finding]:
        facts = await gather_postgres(config.postgres.dsn, config.postgres.command_timeout_s)
        return postgres_findings(facts, demands())

    def redis(url: str, stores: tuple[Store, ...]) -> Inspection:
        async def look() -> Sequence[Finding]:
            return redis_findings(await gather_redis(url, config.redis.command_timeout_s), stores, demands())

        return Inspection(stores, look)

    one = (redis(geo_url, ("log", "geo")),)
    two = (redis(log_url, ("log",)), redis(geo_url, ("geo",)))
    return (Inspection(("postgres",), postgres), *(one if geo_url == log_url else two))


class Preflight:
    """What was found last. A store that does not answer keeps what was last known of it.

    Unless it is `enforced`, everything is said and nothing refused.
    """

    def __init__(self, inspections: Sequence[Inspection], *, enforced: bool = True) -> None:
        self._inspections = inspections
        self._enforced = enforced
        self._healed: Healed = _nothing
        self._found: dict[Store, tuple[Finding, ...]] = {}
        self._latest: tuple[Finding, ...] = ()

    def when_healed(self, healed: Healed) -> None:
        """Call this for a store that was unsafe and is safe again."""
        self._healed = healed

    async def look(self) -> tuple[Finding, ...]:
        """Look at every server once; everything found now. What changed is logged."""
        each = await asyncio.gather(*(inspection.look() for inspection in self._inspections))
        latest = tuple(finding for found in each for finding in found)
        self._tell(latest)
        self._latest = latest
        for inspection, found in zip(self._inspections, each, strict=True):
            if all(finding.severity is not Severity.WAIT for finding in found):
                for store in inspection.stores:
                    await self._conclude(store, found)
        return latest

    async def refuse(self) -> None:
        """Look, and raise UnsafeStoreError if a process must not run like this; what is away may come."""
        unsafe = [finding for finding in await self.look() if finding.severity is Severity.REFUSE]
        if unsafe and self._enforced:
            raise UnsafeStoreError(unsafe)

    async def step(self) -> bool:
        """Look once more; raise StoreError while anything is unsafe or away."""
        await self.look()
        wrong = [finding for finding in self._latest if finding.severity is not Severity.WARN]
        if wrong and self._enforced:
            raise StoreError("; ".join(f"{finding.code}: {finding.what}" for finding in wrong))
        return False

    async def run(self, interval_s: float, stop: asyncio.Event) -> None:
        """Keep looking until told to stop, sooner again while something is away."""
        retry_s = FIRST_RETRY_S
        while not stop.is_set():
            found = await self.look()
            is_away = any(finding.severity is Severity.WAIT for finding in found)
            pause_s = min(retry_s, interval_s) if is_away else interval_s
            retry_s = min(retry_s * 2, LONGEST_RETRY_S) if is_away else FIRST_RETRY_S
            await pause(stop, pause_s)

    def trouble(self, store: Store) -> str:
        """Why nothing may be promised on this store now; "" when it is safe."""
        if not self._enforced:
            return ""
        if store not in self._found:
            return f"{store} is not checked yet"
        codes = [finding.code for finding in self._found[store] if finding.severity is Severity.REFUSE]
        return f"{store} is unsafe: {', '.join(codes)}" if codes else ""

    def missing(self) -> str | None:
        """What keeps the process from being ready; None when nothing does."""
        return "; ".join(filter(None, map(self.trouble, STORES))) or None

    def require(self, store: Store) -> None:
        """Raise UnsafeStoreError while this store is known to be unsafe."""
        found = self._found.get(store, ())
        unsafe = [finding for finding in found if finding.severity is Severity.REFUSE]
        if unsafe and self._enforced:
            raise UnsafeStoreError(unsafe)

    def severities(self) -> dict[Severity, int]:
        """How many findings there are of each severity."""
        return {
            severity: sum(finding.severity is severity for finding in self._latest) for severity in Severity
        }

    async def _conclude(self, store: Store, found: Sequence[Finding]) -> None:
        before = self.trouble(store) if store in self._found else ""
        self._found[store] = tuple(finding for finding in found if store in finding.stores)
        if before and not self.trouble(store):
            await self._healed(store)

    def _tell(self, latest: Sequence[Finding]) -> None:
        for finding in latest:
            if finding not in self._latest:
                _say(finding)
        still = {(finding.code, finding.stores) for finding in latest}
        for finding in self._latest:
            if (finding.code, finding.stores) not in still:
                log.info("preflight.healed", code=finding.code, stores=",".join(finding.stores))


def _say(finding: Finding) -> None:
    say = log.error if finding.severity is Severity.REFUSE else log.warning
    say(
        "preflight.found",
        severity=finding.severity.value,
        code=finding.code,
        stores=",".join(finding.stores),
        what=finding.what,
        why=finding.why,
        fix=finding.fix,
    )

"""Watches the event log on a beat of its own, and sets the gate by what it sees."""

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Protocol

from nearcast_server.admission import Span, next_standing
from nearcast_server.gate import Gate
from nearcast_server.tenancy import Tenancies
from nearcast_store.errors import StoreError
from nearcast_store.log.pressure import LogPressure
from nearcast_telemetry.admissionmetrics import (
    SERVER_ADMISSION_ADVISED,
    SERVER_ADMISSION_APPEND_SECONDS,
    SERVER_ADMISSION_BACKLOG_SECONDS,
    SERVER_ADMISSION_LEVEL,
    SERVER_ADMISSION_MEMORY_RATIO,
    SERVER_LOG_ENTRIES,
)
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics
from nearcast_telemetry.pacing import repeat

# How much of a slow append is left after each look: one that is over presses a little longer.
FADING = 0.8
log = logger("gateway")


class Pressure(Protocol):
    """How the event log stands."""

    async def read(self, tenant_ids: list[int]) -> LogPressure:
        """Of these tenants. Raises StoreError."""
        ...


def readings_of(found: LogPressure) -> dict[str, float]:
    """What the log tells of itself, by the names of the readings."""
    memory = {} if found.memory_share is None else {"memory": found.memory_share}
    return {"backlog": found.backlog_s, **memory}


class Gauge:
    """A log that does not answer leaves the gate as it is: an append would be refused by itself."""

    def __init__(
        self,
        pressure: Pressure,
        tenancies: Tenancies,
        gate: Gate,
        spans: Mapping[str, Span],
        metrics: Metrics,
    ) -> None:
        self._pressure = pressure
        self._tenancies = tenancies
        self._gate = gate
        self._spans = spans
        self._metrics = metrics
        self._append_s = 0.0
        self._readings: dict[str, float] = {}

    async def run(self, interval_s: float, stop: asyncio.Event) -> None:
        """Look until told to stop."""
        await repeat(stop, interval_s, self.look)

    async def look(self) -> None:
        """Read everything once and set the gate."""
        began_at = perf_counter()
        try:
            found = await self._pressure.read([view.tenant_id for view in self._tenancies.known()])
        except StoreError as error:
            log.debug("admission.log_does_not_answer", error=error)
        except Exception as error:  # noqa: BLE001 - what cannot be read must not end the process that reads it
            log.error("admission.look_failed", error)
        else:
            self._readings |= readings_of(found)
            self._metrics.set(SERVER_LOG_ENTRIES, found.entries)
        # A closed gate lets nothing be appended: then the look itself is what is slow or quick.
        slowest_s = max(self._gate.slowest_append_s(), perf_counter() - began_at)
        self._append_s = max(slowest_s, self._append_s * FADING)
        self._readings["append"] = self._append_s
        self._set()

    def _set(self) -> None:
        before = self._gate.standing
        standing = next_standing(before, self._readings, self._spans)
        self._gate.set(standing)
        if standing.level is not before.level:
            log.info(
                "admission.changed",
                level=standing.level.name.lower(),
                cause=standing.cause,
                pressure=round(standing.pressure, 3),
            )
        self._metrics.set(SERVER_ADMISSION_LEVEL, standing.level)
        self._metrics.set(SERVER_ADMISSION_ADVISED, standing.advised_events)
        self._metrics.set(SERVER_ADMISSION_APPEND_SECONDS, self._append_s)
        self._metrics.set(SERVER_ADMISSION_BACKLOG_SECONDS, self._readings.get("backlog", 0.0))
        self._metrics.set(SERVER_ADMISSION_MEMORY_RATIO, self._readings.get("memory", 0.0))

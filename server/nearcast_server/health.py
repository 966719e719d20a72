"""Says which services can answer now, by what each of them needs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from nearcast_telemetry.logs import logger
from nearcast_telemetry.pacing import repeat

log = logger("gateway")
Probe = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Needs:
    """What one service cannot do without."""

    service: str
    probes: tuple[str, ...]


class Health:
    """Asks every store on a beat and tells the health service; the empty name stands for the process."""

    def __init__(
        self, servicer: aio.HealthServicer, probes: Mapping[str, Probe], needs: tuple[Needs, ...]
    ) -> None:
        self._servicer = servicer
        self._probes = probes
        self._needs = needs
        self._told: dict[str, bool] = {}

    async def run(self, interval_s: float, stop: asyncio.Event) -> None:
        """Ask until told to stop."""
        await repeat(stop, interval_s, self.look)

    async def look(self) -> Mapping[str, bool]:
        """Ask once; which stores answer."""
        asked = await asyncio.gather(*(probe() for probe in self._probes.values()), return_exceptions=True)
        # A probe that fails in a way nobody thought of says that its store cannot be used.
        answers = {name: answer is True for name, answer in zip(self._probes, asked, strict=True)}
        await self._tell("", serving=True)
        for need in self._needs:
            await self._tell(need.service, serving=all(answers[name] for name in need.probes))
        return answers

    async def drain(self) -> None:
        """Nobody shall send more; the statuses stay so."""
        await self._servicer.enter_graceful_shutdown()

    def ready(self) -> str | None:
        """What is missing, None when every service can answer."""
        if not self._told:
            return "starting"
        missing = sorted(name for name, serving in self._told.items() if not serving)
        return f"cannot serve {', '.join(missing)}" if missing else None

    async def _tell(self, service: str, *, serving: bool) -> None:
        if self._told.get(service) == serving:
            return
        if service and (service in self._told or not serving):
            log.info("health.changed", service=service, serving=serving)
        self._told[service] = serving
        status = health_pb2.HealthCheckResponse
        await self._servicer.set(service, status.SERVING if serving else status.NOT_SERVING)

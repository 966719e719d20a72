"""What can be seen of a running house from outside: read over the same doors that everybody uses."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub

from nearcast.v1.location_pb2 import LatLng
from nearcast.v1.recommend_pb2 import DegradedReason, RecommendRequest
from nearcast.v1.recommend_pb2_grpc import RecommendServiceStub
from nearcast.v1.stats_pb2 import GetStatsRequest, GetStatsResponse
from nearcast.v1.stats_pb2_grpc import StatsServiceStub
from nearcast_cli.calling import CallFailedError
from nearcast_cli.finding import Target
from nearcast_cli.livetown import TownReport, read_report
from nearcast_geo.point import Point

SERVICES = ("CatalogService", "RecommendService", "EventService", "StatsService")
ITEMS_READ = 100
DEADLINE_S = 2.0
TOWN_FRESH_S = 10.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One look; what could not be read is None or empty. `answer` is what a question got."""

    read_at: float
    stats: GetStatsResponse | None
    health: Mapping[str, bool]
    answer: "Answer"
    town: TownReport | None

    def total(self, kind: str) -> int:
        """How often this has happened in all."""
        totals = self.stats.totals if self.stats else ()
        return next((total.count for total in totals if total.kind == kind), 0)

    @property
    def events(self) -> int:
        """Everything that has been counted."""
        return sum(total.count for total in self.stats.totals) if self.stats else 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question got: `refusal` is the reason why it had no answer, "" when it had one."""

    refusal: str = ""
    degraded: tuple[str, ...] = ()


class Onlooker:
    """Looks at one gateway; whoever made the channel closes it."""

    def __init__(self, channel: grpc.aio.Channel, target: Target, place: Point, town_path: Path) -> None:
        self._health = HealthStub(channel)
        self._stats = StatsServiceStub(channel)
        self._recommend = RecommendServiceStub(channel)
        self._address = target.address
        self._metadata = (("authorization", f"Bearer {target.api_key}"),)
        self._place = LatLng(latitude=place.lat, longitude=place.lon)
        self._town_path = town_path

    async def look(self) -> Figures:
        """Read everything once; a gateway that is away gives a look without figures."""
        health = {service: await self.serves(service) for service in SERVICES}
        return Figures(time.time(), await self._read_stats(), health, await self._ask(), self._read_town())

    async def is_open(self, *, complete: bool) -> bool:
        """Whether every service can answer and a question has an answer; a `complete` one is not degraded."""
        if not all([await self.serves(service) for service in SERVICES]):
            return False
        answer = await self._ask()
        return not answer.refusal and not (complete and answer.degraded)

    async def serves(self, service: str) -> bool:
        """Whether a service says that it can answer."""
        request = health_pb2.HealthCheckRequest(service=f"nearcast.v1.{service}")
        try:
            answer = await self._health.Check(request, timeout=DEADLINE_S)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    async def _read_stats(self) -> GetStatsResponse | None:
        request = GetStatsRequest(page_size=ITEMS_READ)
        try:
            return await self._stats.GetStats(request, timeout=DEADLINE_S, metadata=self._metadata)
        except grpc.aio.AioRpcError:
            return None

    async def _ask(self) -> Answer:
        request = RecommendRequest(location=self._place, limit=1)
        try:
            answer = await self._recommend.Recommend(request, timeout=DEADLINE_S, metadata=self._metadata)
        except grpc.aio.AioRpcError as error:
            return Answer(refusal=CallFailedError(error, self._address).reason)
        names = [DegradedReason.Name(reason) for reason in answer.degraded_reasons]
        return Answer(degraded=tuple(name.removeprefix("DEGRADED_REASON_") for name in names))

    def _read_town(self) -> TownReport | None:
        report = read_report(self._town_path)
        return report if report and time.time() - report.told_at < TOWN_FRESH_S else None

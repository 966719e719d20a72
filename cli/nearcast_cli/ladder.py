"""How the event log presses now, and what its readings make gateways do with events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nearcast_server.admission import Standing, next_standing, spans_of
from nearcast_server.gauging import readings_of
from nearcast_store.connection import RedisConnection
from nearcast_store.log.pressure import RedisLogPressure

if TYPE_CHECKING:
    from nearcast_config.process import ProcessConfig


@dataclass(frozen=True, slots=True)
class Ladder:
    """Where a gateway that has just started would stand, by what the log tells of itself.

    How slow its appends are only the gateway itself knows.
    """

    readings: Mapping[str, float]
    standing: Standing

    def told(self) -> str:
        """One line for people."""
        backlog, memory = self.readings["backlog"], self.readings.get("memory")
        used = "memory unknown" if memory is None else f"memory {memory:.0%} used"
        told = self.standing.told() or "admission is open"
        return f"{told[0].upper()}{told[1:]}. Backlog {backlog:.1f} s, {used}."

    def plain(self) -> dict[str, object]:
        """For JSON."""
        return {
            "level": self.standing.level.name.lower(),
            "cause": self.standing.cause,
            "pressure": round(self.standing.pressure, 3),
            "advisedEvents": self.standing.advised_events,
            "backlogS": self.readings["backlog"],
            "memoryShare": self.readings.get("memory"),
        }


async def read_ladder(process: "ProcessConfig", tenant_ids: Sequence[int]) -> Ladder:
    """By the log of all these tenants. Raises StoreError."""
    url = process.redis.log_url or process.redis.geo_url
    connection = RedisConnection(url, command_timeout_s=process.redis.command_timeout_s)
    try:
        streams = len(tenant_ids) * process.log.shards
        pressure = RedisLogPressure(connection, process.log.shards, most_streams=streams)
        readings = readings_of(await pressure.read(tenant_ids))
    finally:
        await connection.close()
    return Ladder(readings, next_standing(Standing(), readings, spans_of(process.admission)))

"""From a change's acknowledgement until every gateway shows it: `python -m benchmarks.replica.visible`."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import click
import grpc
from google.protobuf import field_mask_pb2
from msgspec import Struct

from benchmarks.events.house import House, Process, open_house
from benchmarks.events.report import finish, print_table, progress
from benchmarks.events.usage import cpu_by_name
from benchmarks.goals import at_most
from benchmarks.replica.life import Life, lived
from benchmarks.replica.living import OPTIONS, PROBES_AT, Job
from nearcast.v1 import recommend_pb2, recommend_pb2_grpc

GATEWAYS, ITEMS, PROBES = 2, 20_000, 40
TURN_S = 0.05
LOOK_EVERY_S = 0.02
WARM_S = 5.0
SEEN_WITHIN_S = 30.0
GOAL_S = 1.0
LOOK = recommend_pb2.NearbyRequest(
    location=PROBES_AT,
    radius_m=1_000.0,
    limit=PROBES,
    read_mask=field_mask_pb2.FieldMask(paths=["version"]),
)
UNMEASURED = ("gateways on several hosts", "changes of items that lie in a market")


@dataclass(slots=True)
class Watched:
    """What one gateway has shown of the probes: each version from when on."""

    latest: dict[int, int] = field(default_factory=dict)
    shown_at: defaultdict[int, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))
    from_redis: int = 0
    looks: int = 0
    went_back: int = 0

    def note(self, answer: recommend_pb2.NearbyResponse, at: float) -> None:
        self.looks += 1
        self.from_redis += bool(answer.degraded_reasons)
        for shown in answer.items:
            probe, version = int(shown.item_id.rpartition("-")[2]), shown.item.version
            self.went_back += version < self.latest.get(probe, 0)
            if version > self.latest.get(probe, 0):
                self.latest[probe] = version
                self.shown_at[probe].append((version, at))

    def first_shown(self, probe: int, version: int) -> float | None:
        """When this version or a later one was first there."""
        return next((at for shown, at in self.shown_at[probe] if shown >= version), None)


class Seen(Struct, frozen=True):
    """Of each gateway, seconds from acknowledgement to answer; of all together, how often one showed an older
    version than before, how many answers were not from a fresh replica, and processor time per change."""

    lateness_s: Mapping[str, Sequence[float]]
    went_back: int
    from_redis: int
    looks: int
    changes: int
    us_per_change: Mapping[str, float]


async def _watch(house: House, gateway: Process, watched: Watched, stop: asyncio.Event) -> None:
    async with grpc.aio.insecure_channel(house.address(gateway), options=OPTIONS) as channel:
        stub: Any = recommend_pb2_grpc.RecommendServiceStub(channel)
        while not stop.is_set():
            answer = await stub.Nearby(LOOK, metadata=house.metadata, timeout=SEEN_WITHIN_S)
            watched.note(answer, time.monotonic())
            await asyncio.sleep(LOOK_EVERY_S)


async def _acknowledged(life: Life, seconds: float) -> list[tuple[int, int, float]]:
    """Probe, version and moment of each change of so long a time."""
    acks: list[tuple[int, int, float]] = []
    ends_at = time.monotonic() + seconds
    while not acks or acks[-1][2] < ends_at:
        said = await life.hears("acknowledged")
        acks.append((said["item"], said["version"], said["at"]))
    return acks


async def measure(seconds: float, changes_per_s: float, items: int = ITEMS, warm_s: float = WARM_S) -> Seen:
    """On a house of its own."""
    async with AsyncExitStack() as stack:
        house = await stack.enter_async_context(open_house())
        settings = {"NEARCAST_REPLICA__DIRECTORY": str(house.directory / "replica")}
        names = [f"gateway {number + 1}" for number in range(GATEWAYS)]
        *gateways, _ = await asyncio.gather(
            *(house.start(name, "serve", **settings) for name in names), house.start("keeper", "keeper")
        )
        job = Job(
            address=house.address(gateways[0]),
            key=house.key,
            items=items,
            turn_s=TURN_S,
            changes=max(round(changes_per_s * TURN_S), 1),
            probes=PROBES,
        )
        life = await stack.enter_async_context(lived(job))
        watched, stop = [Watched() for _ in gateways], asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for gateway, each in zip(gateways, watched, strict=True):
                tasks.create_task(_watch(house, gateway, each, stop))
            life.go()
            await _acknowledged(life, warm_s)
            progress("warm")
            cpu = cpu_by_name(house.pids)
            acks = await _acknowledged(life, seconds)
            used = {name: after - cpu[name] for name, after in cpu_by_name(house.pids).items()}
            done = await life.end()
            await _seen(watched, acks)
            stop.set()
    changes = len(acks) * job.changes
    lateness = {name: _lateness_s(each, acks) for name, each in zip(names, watched, strict=True)}
    progress(f"{done['changed']:,} changes in all")
    return Seen(
        lateness,
        sum(each.went_back for each in watched),
        sum(each.from_redis for each in watched),
        sum(each.looks for each in watched),
        changes,
        {name: s / changes * 1e6 for name, s in used.items()},
    )


async def _seen(watched: Sequence[Watched], acks: Sequence[tuple[int, int, float]]) -> None:
    async with asyncio.timeout(SEEN_WITHIN_S):
        while any(each.first_shown(*ack[:2]) is None for each in watched for ack in acks):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_EVERY_S)


def _lateness_s(watched: Watched, acks: Sequence[tuple[int, int, float]]) -> list[float]:
    """0 for what was shown before the acknowledgement arrived."""
    found = [(watched.first_shown(probe, version), at) for probe, version, at in acks]
    return sorted(max(shown_at - at, 0.0) for shown_at, at in found if shown_at is not None)


def share_s(lateness_s: Sequence[float], share: float) -> float:
    """Within which so large a share was shown."""
    return lateness_s[min(int(len(lateness_s) * share), len(lateness_s) - 1)]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=60.0, show_default=True, help="How long.")
@click.option("--changes", default=2_000.0, show_default=True, help="Changes a second.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(seconds: float, changes: float, as_json: bool) -> None:
    """Change items at a steady rate, and ask every gateway again and again for some of them."""
    seen = asyncio.run(measure(seconds, changes))
    if not as_json:
        rows = [
            (name, len(late), *(f"{share_s(late, share):.2f}" for share in (0.5, 0.9, 0.99, 1.0)), GOAL_S)
            for name, late in seen.lateness_s.items()
        ]
        head = ("", "changes watched", "p50 s", "p90", "p99", "most", "goal for p99")
        print_table(f"Shown after the acknowledgement, at {changes:,.0f} changes/s", head, rows)
        used = ", ".join(f"{name} {us:.0f}" for name, us in seen.us_per_change.items())
        print(f"\nµs of processor time per change: {used}.")
        print(f"Older versions shown after newer ones: {seen.went_back}.")
        print(f"Answers not from a fresh replica: {seen.from_redis:,} of {seen.looks:,}.")
    judged = [
        at_most(f"item change shown by {name}, p99", f"{GOAL_S:g} s", share_s(late, 0.99) / GOAL_S, 1.0)
        for name, late in seen.lateness_s.items()
    ]
    data = f"{changes:,.0f} changes/s for {seconds:g} s"
    finish(as_json, {"rows": judged, "data": data, "seen": seen, "goal_s": GOAL_S}, UNMEASURED)


if __name__ == "__main__":
    command()

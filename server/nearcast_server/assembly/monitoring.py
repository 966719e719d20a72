"""What the gateway tells of itself, and to whom: readiness, alarms and metrics."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from nearcast_config.process import Gateway
from nearcast_server.candidates import Candidates
from nearcast_server.gate import Gate
from nearcast_server.health import Health
from nearcast_server.tenancy import Tenancies
from nearcast_store.preflight.inspection import Preflight
from nearcast_telemetry.answermetrics import SERVER_STATS_AGE_SECONDS
from nearcast_telemetry.budgetmetrics import SERVER_CAPPED_ITEMS
from nearcast_telemetry.endpoint import Endpoint as HttpEndpoint
from nearcast_telemetry.link import WorkerLink
from nearcast_telemetry.metrics import Metrics, render
from nearcast_telemetry.preflightmetrics import SERVER_PREFLIGHT_FINDINGS


@dataclass(frozen=True, slots=True)
class Told:
    """What is missing before everything can be answered, what is wrong all the same, and what presses."""

    missing: Callable[[], str | None]
    alarm: Callable[[], str | None]
    note: Callable[[], str]

    def aside(self) -> str | None:
        """All that is told of a process that is ready."""
        return "; ".join(said for said in (self.alarm(), self.note()) if said) or None


async def watched(
    gateway: Gateway,
    link: WorkerLink | None,
    measured: Callable[[], CollectorRegistry],
    told: Told,
    stack: AsyncExitStack,
) -> int:
    """Tell of ourselves, on a port of our own or to who keeps us; the port, 0 for none."""
    if link is not None:
        await link.start(measured, told.missing, told.aside)
        stack.push_async_callback(link.close)
        return 0
    http = HttpEndpoint(
        lambda: render(measured()),
        told.missing,
        setting="gateway.metrics_port",
        note=told.note,
        alarm=told.alarm,
    )
    port = await http.start(gateway.host, gateway.metrics_port)
    stack.push_async_callback(http.close)
    return port


def told(preflight: Preflight, watch: Health, sources: Candidates, gate: Gate) -> Told:
    """Who is asked for each of them."""
    return Told(
        lambda: preflight.missing() or watch.ready(),
        sources.alarm,
        lambda: "; ".join(filter(None, (gate.told(), sources.told()))),
    )


def measured(
    registry: CollectorRegistry,
    metrics: Metrics,
    tenancies: Tenancies,
    preflight: Preflight,
    sources: Candidates,
) -> CollectorRegistry:
    """With what is only measured when somebody asks."""
    ages = [time.time() - view.stats_at for view in tenancies.known()]
    metrics.set(SERVER_STATS_AGE_SECONDS, max(ages, default=0.0))
    for severity, count in preflight.severities().items():
        metrics.set(SERVER_PREFLIGHT_FINDINGS, count, severity.value)
    capped = [(view.capped.by_item, len(view.capped)) for view in tenancies.known()]
    metrics.set(SERVER_CAPPED_ITEMS, sum(alone for alone, _ in capped), "item")
    metrics.set(SERVER_CAPPED_ITEMS, sum(every - alone for alone, every in capped), "owner")
    sources.measure(metrics)
    return registry

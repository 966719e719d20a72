"""What the gateway says it counts is what it counts."""

from nearcast_telemetry.metrics import SERVER_METRICS
from tests.gateways import Gateway, Tenant, nearby, recommend


async def test_metrics_declared_are_metrics_exposed(gateway: Gateway, tenant: Tenant) -> None:
    await gateway.call(tenant, recommend(1.0, 1.0))
    page = await gateway.metrics()
    typed = dict(
        line.removeprefix("# TYPE ").rsplit(" ", 1)
        for line in page.splitlines()
        if line.startswith("# TYPE ")
    )
    exposed = {name: kind for name, kind in typed.items() if name.startswith("nearcast_")}
    assert exposed == {metric.name: metric.type for metric in SERVER_METRICS}


async def test_calls_are_counted_by_method_and_status(gateway: Gateway, tenant: Tenant) -> None:
    async def calls(code: str) -> float:
        sample = f'nearcast_server_call_seconds_count{{code="{code}",method="Nearby"}}'
        lines = [line for line in (await gateway.metrics()).splitlines() if line.startswith(sample)]
        return float(lines[0].rsplit(" ", 1)[1]) if lines else 0.0

    before = [await calls("OK"), await calls("INVALID_ARGUMENT")]
    for _ in range(3):
        await gateway.call(tenant, nearby(1.0, 1.0))
    await gateway.reason_of(tenant, nearby(91.0, 1.0))
    assert [await calls("OK"), await calls("INVALID_ARGUMENT")] == [before[0] + 3, before[1] + 1]


async def test_no_metric_names_a_tenant_a_place_or_an_item(gateway: Gateway, tenant: Tenant) -> None:
    await gateway.call(tenant, recommend(12.3456, 65.4321))
    page = await gateway.metrics()
    assert tenant.slug not in page
    assert "12.3456" not in page
    labels = {part.split("=")[0] for line in page.splitlines() if "{" in line for part in _labels(line)}
    assert labels <= {"method", "code", "le", "reason", "learned", "severity"}


def _labels(line: str) -> list[str]:
    return line[line.index("{") + 1 : line.index("}")].split(",")


async def test_whoever_watches_learns_whether_it_is_ready(gateway: Gateway) -> None:
    assert (await gateway.http("/readyz")).startswith("HTTP/1.1 200")
    assert (await gateway.http("/healthz")).startswith("HTTP/1.1 200")

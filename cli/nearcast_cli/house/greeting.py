"""What is said once everything runs: where it is, and what to copy."""

from nearcast_cli.checkout import command_name, find_checkout
from nearcast_cli.finding import DEFAULT_STATE
from nearcast_cli.house.plan import Plan, Ports
from nearcast_cli.seeding import apply_command
from nearcast_geo.point import Point
from nearcast_store.policies.protocol import Revision

OSLO = Point(59.91, 10.75)


def greeting(plan: Plan, ports: Ports, api_key: str, took_s: float) -> str:
    """Plain text, so that every line can be copied whole."""
    place = plan.town_at or OSLO
    where = "" if plan.state == DEFAULT_STATE else f" --state {plan.state}"
    gateway_metrics, keeper_metrics = ports.metrics
    workers = plan.process.gateway.workers
    shared = f" ({workers} workers)" if workers > 1 else ""
    town = f"a simulated town at {place.lat:g}, {place.lon:g}" if plan.town_at else "no town (--no-town)"
    return f"""
nearcast is ready after {took_s:.1f} s.

  gRPC      {ports.address}{shared}
  key       {api_key}
  metrics   {gateway_metrics}
            {keeper_metrics}
  state     {plan.state.absolute()} (logs in logs/)
  people    {town}

Ask, in another terminal:
  {command_name()} recommend{where} {place.lat:g} {place.lon:g}

From Python{_python_note()}:
{_python(ports, api_key, place)}

With grpcurl:
  grpcurl -plaintext -H 'authorization: Bearer {api_key}' \\
    -d '{{"location": {{"latitude": {place.lat:g}, "longitude": {place.lon:g}}}, "limit": 5}}' \\
    {ports.address} nearcast.v1.RecommendService/Recommend
"""


def policy_notice(plan: Plan, revision: Revision) -> str:
    """That the file's policy is not the one in force, and how it comes to be; "" when it is."""
    if plan.policy is None or plan.config_path is None or plan.policy == revision.policy:
        return ""
    return (
        f"The [policy] of {plan.config_path} is not in force: policy revision {revision.number} is, and it "
        f"differs. To apply the file's:\n  {apply_command(plan.config_path, state=plan.state)}"
    )


def _python_note() -> str:
    root = find_checkout()
    return f" (in this checkout: {root}/.venv/bin/python)" if root else ""


def _python(ports: Ports, api_key: str, place: Point) -> str:
    lines = [
        "import grpc",
        "from nearcast.v1 import location_pb2, recommend_pb2, recommend_pb2_grpc",
        f'channel = grpc.insecure_channel("{ports.address}")',
        "stub = recommend_pb2_grpc.RecommendServiceStub(channel)",
        f"here = location_pb2.LatLng(latitude={place.lat:g}, longitude={place.lon:g})",
        f'key = [("authorization", "Bearer {api_key}")]',
        "answer = stub.Recommend(recommend_pb2.RecommendRequest(location=here, limit=5), metadata=key)",
        "print([(item.item.title, round(item.distance_m)) for item in answer.items])",
    ]
    return "\n".join(f"  {line}" for line in lines)

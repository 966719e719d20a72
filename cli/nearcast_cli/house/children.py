"""The processes of the house: gateway, keeper and town, each as a command of its own."""

import os
import sys
from collections.abc import Mapping

from nearcast_cli.embedded import Endpoints, StateDirectory
from nearcast_cli.house.plan import Plan, Ports
from nearcast_cli.livesimulation import REPORT_NAME
from nearcast_cli.pace import pace_arguments
from nearcast_cli.processes import ChildSpec
from nearcast_config.environment import variable_of

GATEWAY, KEEPER, TOWN = "gateway", "keeper", "town"


def house_children(
    plan: Plan, state: StateDirectory, endpoints: Endpoints, ports: Ports, api_key: str
) -> list[ChildSpec]:
    """In the order in which they start; they stop in reverse."""
    settings = _environment(plan, endpoints, ports)
    children = [
        _child(GATEWAY, ("serve",), state, settings),
        _child(KEEPER, ("keeper",), state, settings),
    ]
    if plan.town_at is not None:
        arguments = (
            "town",
            f"--town-at={plan.town_at.lat!r},{plan.town_at.lon!r}",
            f"--report={state.path / REPORT_NAME}",
            *pace_arguments(plan.pace),
        )
        who = {**_outside(), "NEARCAST_ADDRESS": ports.address, "NEARCAST_API_KEY": api_key}
        children.append(_child(TOWN, arguments, state, who))
    return children


def _child(
    name: str, arguments: tuple[str, ...], state: StateDirectory, environment: Mapping[str, str]
) -> ChildSpec:
    return ChildSpec(
        name=name,
        argv=(sys.executable, "-m", "nearcast_cli", *arguments),
        log_path=state.logs / f"{name}.log",
        env=environment,
    )


def _environment(plan: Plan, endpoints: Endpoints, ports: Ports) -> dict[str, str]:
    """Ours with what was decided here; in the environment, as arguments are for every user to read."""
    own = {
        "postgres.dsn": endpoints.postgres_dsn,
        "redis.geo_url": endpoints.redis_url,
        "gateway.grpc_port": str(ports.grpc),
        "replica.directory": plan.process.replica.directory or str(plan.state / "replica"),
        "gateway.workers": str(plan.process.gateway.workers),
        "gateway.metrics_port": str(ports.gateway_metrics),
        "gateway.reflection": "true",
        "keeper.metrics_port": str(ports.keeper_metrics),
    }
    if plan.runs_stores:
        own["preflight.state"] = str(plan.state.absolute())
    named = {"NEARCAST_CONFIG": str(plan.config_path.absolute())} if plan.config_path else {}
    return {**os.environ, **{variable_of(key): value for key, value in own.items()}, **named}


def _outside() -> dict[str, str]:
    """The environment without settings of other processes."""
    return {name: value for name, value in os.environ.items() if not name.startswith("NEARCAST_")}

"""Ports that were free when `up` chose them and are another process's when a child comes to listen."""

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from rich.console import Console

from nearcast_cli.embedded import EmbeddedServers
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.house.house import House
from nearcast_cli.house.plan import Plan, Ports
from nearcast_cli.house.ports import choose_ports
from nearcast_cli.house.screen import Screen
from nearcast_config.loading import load_process
from nearcast_town.simulate import LivePace

ANY = {"gateway.grpc_port": 0, "gateway.metrics_port": 0, "keeper.metrics_port": 0}


@pytest.fixture(autouse=True)
def _unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' Postgres is quick, not safe."""
    monkeypatch.setenv("NEARCAST_PREFLIGHT__ENFORCE", "false")


class LeavingScreen(Screen):
    """Presses Ctrl-C as soon as the house is open."""

    def __init__(self) -> None:
        super().__init__(Console(quiet=True))
        self.said = ""

    def say(self, text: str) -> None:
        self.said += f"{text}\n"
        if "nearcast is ready" in text:
            os.kill(os.getpid(), signal.SIGINT)


def stand(plan: Plan, servers: EmbeddedServers, ports: Ports) -> str:
    """Open the house with ports that were chosen a while ago; what it said."""
    screen = LeavingScreen()
    with servers as endpoints:
        asyncio.run(House(plan, servers, endpoints, ports, screen).stand(time.monotonic()))
    return screen.said


@pytest.mark.parametrize("door", ["grpc", "gateway_metrics", "keeper_metrics"])
def test_a_port_that_somebody_else_came_to_first_is_replaced(
    door: str, database: str, redis_url: str, state_dir: Path
) -> None:
    plan = Plan(state_dir, None, load_process(None, {}, ANY), None, None, LivePace())
    servers = EmbeddedServers(state_dir, postgres_dsn=database, redis_url=redis_url)
    chosen = choose_ports(plan.process)
    with socket.create_server(("127.0.0.1", getattr(chosen, door))):
        said = stand(plan, servers, chosen)
    assert "nearcast is ready" in said
    assert f":{getattr(chosen, door)}" not in said


def test_a_port_that_was_asked_for_and_lost_is_told(database: str, redis_url: str, state_dir: Path) -> None:
    port = choose_ports(load_process(None, {}, ANY)).grpc
    plan = Plan(
        state_dir, None, load_process(None, {}, {**ANY, "gateway.grpc_port": port}), None, None, LivePace()
    )
    servers = EmbeddedServers(state_dir, postgres_dsn=database, redis_url=redis_url)
    chosen = choose_ports(plan.process)
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(CommandFailedError, match=f"port {port} on 127.0.0.1 is in use") as caught,
    ):
        stand(plan, servers, chosen)
    assert "--grpc-port" in caught.value.advice

"""What `up` decides before and shows after."""

import dataclasses
import io
import socket
from pathlib import Path

import pytest
from rich.console import Console

from nearcast.v1.stats_pb2 import FeedStats, GetStatsResponse, ItemStats, KindCount, KindStats
from nearcast_cli.embedded import Endpoints, StateDirectory
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.house.board import board, line
from nearcast_cli.house.children import house_children
from nearcast_cli.house.figures import SERVICES, Answer, Figures
from nearcast_cli.house.greeting import greeting, policy_notice
from nearcast_cli.house.plan import Plan, Ports
from nearcast_cli.house.ports import choose_ports
from nearcast_cli.house.screen import Pace
from nearcast_config.loading import load_process
from nearcast_config.policytext import default_policy, load_policy_text
from nearcast_geo.point import Point
from nearcast_store.policies.protocol import Revision
from nearcast_town.simulate import LivePace

PORTS = Ports("127.0.0.1", 50051, 9464, 9465)


def make_plan(town_at: Point | None = None, config_path: Path | None = None) -> Plan:
    return Plan(Path(".nearcast"), config_path, load_process(None, {}), None, town_at, LivePace())


def make_figures(events: int = 30, read_at: float = 100.0, **changes: object) -> Figures:
    items = [
        ItemStats(
            item_id=item_id,
            title=title,
            kinds=[
                KindStats(kind="impression", count=20),
                KindStats(kind="view", count=views, rate=views / 20),
            ],
        )
        for item_id, title, views in (("low", "Low [bold]", 1), ("high", "High", 9))
    ]
    facts: dict[str, object] = {
        "stats": GetStatsResponse(
            items=items,
            feeds=[FeedStats(feed="draw", probability=0.75, trials=4, rewards=1)],
            totals=[KindCount(kind="impression", count=events)],
        ),
        "health": dict.fromkeys(SERVICES, True),
        "answer": Answer(),
        "town": None,
    }
    return Figures(read_at=read_at, **{**facts, **changes})  # type: ignore[arg-type]


def rendered(figures: Figures) -> str:
    console = Console(file=io.StringIO(), width=140)
    console.print(board(figures, 12.0, {"high": 0.5, "low": 0.04}.get))  # type: ignore[arg-type]
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_board_has_the_most_promising_item_first_beside_the_truth() -> None:
    shown = rendered(make_figures())
    assert shown.index("High") < shown.index("Low [bold]")
    high = next(row.split() for row in shown.splitlines() if row.startswith("High"))
    assert high == ["High", "20", "9", "0", "0", "45.0%", "50.0%"]
    assert "75%" in shown
    assert "1 (25%)" in shown


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "healthy"),
        ({"answer": Answer(degraded=("KEEPER_DOWN",))}, "degraded: KEEPER_DOWN"),
        (
            {"answer": Answer(degraded=("CANDIDATES_FROM_REDIS",))},
            "answers come from Redis until the replica is ready",
        ),
        ({"answer": Answer(refusal="SERVER_NOT_READY")}, "questions are refused: SERVER_NOT_READY"),
        ({"health": {**dict.fromkeys(SERVICES, True), "StatsService": False}}, "cannot serve StatsService"),
        ({"health": {}, "stats": None}, "the gateway does not answer"),
    ],
)
def test_trouble_is_told(changes: dict[str, object], words: str) -> None:
    figures = make_figures(**changes)  # type: ignore[arg-type]
    assert words in rendered(figures)
    assert line(figures, 0.0).startswith(words)


def test_figures_that_could_not_be_read_are_not_shown_as_nothing() -> None:
    shown = make_figures(stats=None)
    assert line(shown, 0.0) == "healthy · statistics could not be read"
    assert "statistics could not be read" in rendered(shown)
    assert "0 events" not in rendered(shown)


def test_the_pace_is_measured_between_looks_that_have_figures() -> None:
    pace = Pace()
    assert pace.of(make_figures(30, 100.0)) == 0.0
    assert pace.of(make_figures(30, 101.0, stats=None)) == 0.0
    assert pace.of(make_figures(50, 102.0)) == 10.0


def test_the_greeting_can_be_copied() -> None:
    text = greeting(make_plan(Point(-33.9, 151.2)), PORTS, "nc_key", 1.0)
    assert "recommend -33.9 151.2" in text
    python = [row[2:] for row in text.splitlines() if row.startswith("  ")]
    code = "\n".join(python[python.index("import grpc") :][:8])
    compile(code, "greeting", "exec")
    assert "nc_key" in code
    assert "127.0.0.1:50051 nearcast.v1.RecommendService/Recommend" in text


def test_a_policy_that_is_not_in_force_is_told_with_the_command_that_applies_it() -> None:
    own = load_policy_text("[policy.exploration]\nshare = 0.3\n")
    plan = dataclasses.replace(
        make_plan(config_path=Path("my nearcast.toml")), policy=own, state=Path("here")
    )
    other = Revision(1, 7, default_policy(), {}, {}, {})
    notice = policy_notice(plan, other)
    assert "policy revision 7" in notice
    assert notice.endswith("nearcast policy apply 'my nearcast.toml' --state here")
    assert policy_notice(plan, dataclasses.replace(other, policy=own)) == ""
    assert policy_notice(make_plan(), other) == ""


def test_a_taken_port_is_refused_and_metrics_move_aside() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CommandFailedError, match=f"port {port} on 127.0.0.1 is in use") as caught:
            choose_ports(load_process(None, {}, {"gateway.grpc_port": port}))
        assert "--grpc-port" in caught.value.advice
        with pytest.raises(CommandFailedError, match="is in use") as caught:
            choose_ports(load_process(None, {}, {"gateway.grpc_port": 0, "keeper.metrics_port": port}))
        assert caught.value.field == "keeper.metrics_port"


def test_free_ports_differ() -> None:
    zero = {"gateway.grpc_port": 0, "gateway.metrics_port": 0, "keeper.metrics_port": 0}
    ports = choose_ports(load_process(None, {}, zero))
    assert len({ports.grpc, ports.gateway_metrics, ports.keeper_metrics}) == 3
    assert min(ports.grpc, ports.gateway_metrics, ports.keeper_metrics) > 0


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1:5"), ("::", "[::1]:5"), ("::1", "[::1]:5"), ("localhost", "localhost:5")],
)
def test_an_address_for_all_is_spoken_to_on_this_machine(host: str, address: str) -> None:
    assert Ports(host, 5, 6, 7).address == address


def test_secrets_travel_in_the_environment_and_never_in_arguments(tmp_path: Path) -> None:
    endpoints = Endpoints("postgresql://u:hunter2@h/d", "redis://:hunter2@h/0")
    plan = make_plan(Point(-33.9, 151.2), tmp_path / "nearcast.toml")
    children = house_children(plan, StateDirectory(tmp_path), endpoints, PORTS, "nc_hunter2")
    assert [child.name for child in children] == ["gateway", "keeper", "town"]
    assert not any("hunter2" in part for child in children for part in child.argv)
    gateway, _, town = (child.env or {} for child in children)
    assert gateway["NEARCAST_POSTGRES__DSN"] == endpoints.postgres_dsn
    assert gateway["NEARCAST_GATEWAY__GRPC_PORT"] == "50051"
    assert gateway["NEARCAST_CONFIG"] == str(tmp_path / "nearcast.toml")
    assert town["NEARCAST_API_KEY"] == "nc_hunter2"
    assert "NEARCAST_POSTGRES__DSN" not in town
    assert {"--town-at=-33.9,151.2", "--hurry=1.0", "--asks-per-s=40.0"} < set(children[2].argv)


def test_without_a_town_nobody_lives_there(tmp_path: Path) -> None:
    endpoints = Endpoints("postgresql://h/d", "redis://h/0")
    children = house_children(make_plan(), StateDirectory(tmp_path), endpoints, PORTS, "nc_key")
    assert [child.name for child in children] == ["gateway", "keeper"]

"""`nearcast markets` against a gateway."""

import asyncio
import json
import secrets
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.acceptance.running import nearcast
from tests.gateways import Gateway, Tenant
from tests.geojsons import box, polygon

WEST, EAST = json.loads(box(10.0, 59.0, 10.75, 60.0)), json.loads(box(10.75, 59.0, 11.5, 60.0))


class Operator:
    """Runs commands with a key of a tenant of its own."""

    def __init__(self, gateway: Gateway, tenant: Tenant, file: Path) -> None:
        self._options = ("--address", gateway.address, "--api-key", tenant.keys["operator"])
        self.file = file

    async def run(self, *arguments: str, given: str | None = None) -> CompletedProcess[str]:
        return await asyncio.to_thread(nearcast, *arguments, *self._options, given=given)

    async def answer(self, *arguments: str) -> Any:
        done = await self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def write(self, **geometries: Any) -> None:
        features = [
            {"type": "Feature", "properties": {"market_id": name, "name": name.title()}, "geometry": geometry}
            for name, geometry in geometries.items()
        ]
        self.file.write_text(json.dumps({"type": "FeatureCollection", "features": features}), "utf-8")

    async def listed(self) -> list[str]:
        return [market["marketId"] for market in (await self.answer("markets", "list"))["markets"]]


@pytest.fixture
async def operator(gateway: Gateway, tmp_path: Path) -> Operator:
    return Operator(
        gateway, await gateway.new_tenant(f"op-{secrets.token_hex(4)}"), tmp_path / "markets.json"
    )


async def test_markets_are_drawn_listed_exported_and_deleted(operator: Operator) -> None:
    operator.write(west=WEST, east=EAST)
    file = str(operator.file)
    applied = await operator.answer("markets", "apply", file)
    assert applied == {"applied": 2, "created": 2, "pruned": [], "refused": []}
    again = await operator.run("markets", "apply", file)
    assert again.stdout == "Applied 2 markets: 0 new, 2 there already.\n"
    listed = await operator.run("markets", "list")
    assert [line.split()[:3] for line in listed.stdout.splitlines()[1:]] == [
        ["east", "East", "2"],
        ["west", "West", "1"],
    ]
    exported = await operator.run("markets", "export")
    applied = await operator.run("markets", "apply", "-", given=exported.stdout)
    assert "0 new, 2 there already" in applied.stdout
    assert (await operator.run("markets", "delete", "west")).stdout == "Deleted 1 of 1.\n"
    gone = await operator.run("markets", "delete", "west", "--json")
    assert (gone.returncode, json.loads(gone.stderr)["reason"]) == (1, "MARKET_NOT_FOUND")
    assert await operator.listed() == ["east"]


async def test_what_is_not_in_the_file_is_pruned_only_when_all_of_it_was_taken(operator: Operator) -> None:
    operator.write(west=WEST, east=EAST)
    await operator.answer("markets", "apply", str(operator.file))
    operator.write(north=WEST, bad=json.loads(polygon([(0, 0), (1, 1), (1, 0), (0, 1)])))
    refused = await operator.run("markets", "apply", str(operator.file), "--prune")
    assert refused.returncode == 1
    assert "POLYGON_INVALID bad geometry: coordinates[0] crosses itself" in refused.stderr
    assert await operator.listed() == ["east", "north", "west"]
    operator.write(north=WEST)
    assert (await operator.answer("markets", "apply", str(operator.file), "--prune"))["pruned"] == [
        "east",
        "west",
    ]
    assert await operator.listed() == ["north"]


async def test_a_file_that_is_none_is_told(operator: Operator) -> None:
    operator.file.write_text("{}")
    done = await operator.run("markets", "apply", str(operator.file))
    assert done.returncode == 1
    assert "no FeatureCollection (FILE_UNREADABLE)" in done.stderr


async def test_questions_may_name_a_market_and_a_polygon(operator: Operator) -> None:
    operator.file.write_text(json.dumps(WEST))
    near = await operator.run("nearby", "59.9", "10.7", "--polygon", str(operator.file))
    assert near.returncode == 0, near.stderr
    unknown = await operator.run("recommend", "59.9", "10.7", "--market", "atlantis")
    assert unknown.returncode == 1
    assert "MARKET_UNKNOWN" in unknown.stderr
    assert "markets list" in unknown.stderr

"""`nearcast items import` against a gateway."""

import asyncio
import json
import secrets
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from nearcast.v1 import catalog_pb2
from tests.acceptance.running import COMMAND, environment, nearcast
from tests.gateways import Gateway, Tenant, eventually

PATIENCE_S = 60.0


class Importing:
    """Imports with a key of a tenant of its own."""

    def __init__(self, gateway: Gateway, tenant: Tenant, directory: Path) -> None:
        self._gateway = gateway
        self._tenant = tenant
        self._directory = directory
        self.options = ("--address", gateway.address, "--api-key", tenant.keys["operator"])

    def write(self, name: str, said: str | bytes) -> Path:
        file = self._directory / name
        file.write_bytes(said if isinstance(said, bytes) else said.encode())
        return file

    async def run(self, *arguments: str | Path, given: str | None = None) -> CompletedProcess[str]:
        return await asyncio.to_thread(nearcast, "items", "import", *arguments, *self.options, given=given)

    async def said(self, *arguments: str | Path, given: str | None = None) -> Any:
        done = await self.run(*arguments, "--json", given=given)
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    async def versions(self) -> dict[str, int]:
        """Of every item that is there."""
        found: dict[str, int] = {}
        request = catalog_pb2.ListItemsRequest(page_size=1000)
        while True:
            page = await self._gateway.call(self._tenant, request)
            found |= {item.item_id: item.version for item in page.items}
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token


@pytest.fixture
async def importing(gateway: Gateway, tmp_path: Path) -> Importing:
    return Importing(gateway, await gateway.new_tenant(f"im-{secrets.token_hex(4)}"), tmp_path)


def line(number: int) -> str:
    return f'{{"item_id": "i{number}", "locations": [{{"latitude": 59.9, "longitude": 10.7}}]}}\n'


async def test_csv_is_imported_and_what_is_refused_is_written_down(
    importing: Importing, tmp_path: Path
) -> None:
    file = importing.write("items.csv", "id,latitude,longitude,note\na,59.9,10.7,x\nb,95,10.7,\nc,1,\n")
    rejects = tmp_path / "rejects"
    done = await importing.run(file, "--column", "item_id=id", "--rejects", rejects)
    assert done.returncode == 1
    assert done.stdout == "Imported 1 item: 1 new, 0 there already.\n"
    assert "no fields of an item and are ignored: note" in done.stderr
    refused = [json.loads(row) for row in rejects.read_text().splitlines()]
    assert [(row["line"], row["itemId"], row["field"], row["reason"]) for row in refused] == [
        (3, "b", "locations[0].latitude", "LATITUDE_OUT_OF_RANGE"),
        (4, "", "", "MALFORMED_MESSAGE"),
    ]
    assert await importing.versions() == {"a": 1}
    assert not file.with_name("items.csv.import").exists()


async def test_an_import_that_was_killed_goes_on_after_what_was_acknowledged(
    importing: Importing, tmp_path: Path
) -> None:
    """It reads from a pipe that stays open, so it cannot end before it is killed."""
    lines = [line(number) for number in range(2200)]
    lines[10] = "nonsense\n"
    checkpoint, rejects = tmp_path / "checkpoint", tmp_path / "rejects"
    options = ("--checkpoint", checkpoint, "--rejects", rejects, "--parallel", "1")
    child = await asyncio.create_subprocess_exec(
        *(*COMMAND, "items", "import", "-", *map(str, options), *importing.options),
        stdin=asyncio.subprocess.PIPE,
        env=environment(),
    )
    try:
        assert child.stdin is not None
        child.stdin.write("".join(lines[:1700]).encode())
        await child.stdin.drain()

        async def settled() -> int:
            return json.loads(checkpoint.read_bytes())["mark"]["line"] if checkpoint.exists() else 0

        acknowledged = await eventually(settled, PATIENCE_S)
    finally:
        child.kill()
        await child.communicate()
    done = await importing.run("-", *options, given="".join(lines))
    assert "Going on after line" in done.stderr
    assert "Imported 2199 items" in done.stdout
    versions = await importing.versions()
    assert len(versions) == 2199
    before = [f"i{number}" for number in range(acknowledged) if number != 10]
    assert {versions[item_id] for item_id in before} == {1}
    assert sum(version > 1 for version in versions.values()) <= 500, "at most what had no answer comes again"
    assert [json.loads(row)["line"] for row in rejects.read_text().splitlines()] == [11]
    assert not checkpoint.exists()


async def test_a_check_says_what_the_server_says(importing: Importing) -> None:
    place = '"locations": [{"latitude": 1, "longitude": 2}]'
    bodies = (
        *("", place, f'{place}, "reach_m": 0', f'{place}, "reach_m": 5, "reach_area": "{{}}"'),
        *(f'{place}, "reach_area": "nonsense"', '"locations": [{"latitude": 91, "longitude": 2}]'),
        *('"locations": [{"latitude": 1, "longitude": 181}]', f'{place}, "title": "{"x" * 301}"'),
        *(f'{place}, "title": "\\u0000"', f'{place}, "category": "a b"', f'{place}, "url": "ftp://x"'),
        *(f'{place}, "url": "http://x\\u00a0y"', f'{place}, "image_url": "http://x:port"'),
        *(f'{place}, "tags": [{{"name": "x", "relevance": 2}}]', f'{place}, "tags": [{{"name": ""}}]'),
        *(f'{place}, "tags": [{{"name": "x"}}, {{"name": "x"}}]', f'{place}, "attributes": {{"": "x"}}'),
        *(f'{place}, "attributes": {{"k": "\\u0001"}}', f'{place}, "version": -1'),
        f'{place}, "starts_at": "2026-05-17T18:00:00Z", "expires_at": "2026-05-17T18:00:00Z"',
        *(f'{place}, "hours": {{"time_zone": "Mars/Base"}}', f'"locations": [{", ".join(["{}"] * 17)}]'),
        *(f'{place}, "bogus": 1', f'{place}, "version": "x"', f'{place}, "owner": "{"o" * 129}"'),
        f'{place}, "hours": {{"time_zone": "Europe/Oslo", "intervals": [{{"day": 9}}]}}',
    )
    rows = [f'{{"item_id": "i{number}"{", " if body else ""}{body}}}\n' for number, body in enumerate(bodies)]
    rows += ['{"item_id": ""}\n', '{"item_id": "a b"}\n', f'{{"item_id": "{"x" * 129}"}}\n', "[]\n"]
    file = importing.write("items.ndjson", "".join(rows))
    checked = await importing.said(file, "--check")
    assert await importing.versions() == {}
    imported = await importing.said(file)
    assert checked["refused"] == imported["refused"]
    assert checked["checked"] == len(rows)
    assert (imported["imported"], imported["refusedCount"]) == (1, len(rows) - 1)
    assert len({row["reason"] for row in imported["refused"]}) >= 15


async def test_a_check_needs_no_server_and_an_empty_file_no_lines(tmp_path: Path) -> None:
    file = tmp_path / "items.ndjson"
    file.write_text("")
    done = await asyncio.to_thread(nearcast, "items", "import", file, "--check", "--address", "127.0.0.1:1")
    assert (done.returncode, done.stdout) == (0, "Checked 0 items: 0 would be refused.\n")


async def test_options_that_do_not_fit_are_usage_errors(importing: Importing) -> None:
    file = importing.write("items.ndjson", line(1))
    for options in (("--column", "item_id=id"), ("--format", "csv", "--delimiter", "ab"), ("--column", "x")):
        assert (await importing.run(file, *options)).returncode == 2


async def test_what_a_file_does_not_name_is_pruned_within_a_limit(importing: Importing) -> None:
    everything = importing.write("all.ndjson", "".join(line(number) for number in range(20)))
    assert (await importing.run(everything)).returncode == 0
    half = importing.write("half.ndjson", "".join(line(number) for number in range(10)))
    refused = await importing.run(half, "--prune")
    assert refused.returncode == 1
    assert "10 of 20 items are not in the file, more than 10 %" in refused.stderr
    assert len(await importing.versions()) == 20
    pruned = await importing.said(half, "--prune", "--prune-limit", "50")
    assert (pruned["imported"], pruned["pruned"]) == (10, 10)
    assert sorted(await importing.versions()) == sorted(f"i{number}" for number in range(10))


async def test_nothing_is_pruned_when_a_line_does_not_tell_its_item(importing: Importing) -> None:
    everything = importing.write("all.ndjson", "".join(line(number) for number in range(20)))
    await importing.run(everything)
    refused_place = line(19).replace("59.9", "99.9")
    most = "".join(line(number) for number in range(19))
    spared = await importing.run(importing.write("most.ndjson", most + refused_place), "--prune")
    assert "Deleted 0 that the file does not name." in spared.stdout
    unread = await importing.run(importing.write("broken.ndjson", most + "nonsense\n"), "--prune")
    assert "1 lines do not tell which items they are" in unread.stderr
    assert len(await importing.versions()) == 20
    assert (await importing.run("-", "--prune", given=most)).returncode == 2

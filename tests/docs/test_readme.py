"""What README shows is what happens: its Python runs, and so does its five-minute tour, line by line."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.running import Up, environment, eventually, nearcast

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN_ADDRESS, SHOWN_KEY = "127.0.0.1:50051", "YOUR-KEY"


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    instance = Up(tmp_path_factory.mktemp("readme") / "state", "--no-town", "--grpc-port", "0")
    try:
        yield instance.ready()
    finally:
        instance.close()


@pytest.fixture(scope="module")
def shell(up: Up, tmp_path_factory: pytest.TempPathFactory) -> "Shell":
    """With the items that the first block of the tour brings."""
    shell = Shell(up, tmp_path_factory.mktemp("tour"))
    shell.run(blocks("sh")[1])
    eventually(lambda: "Curator" in nearcast("nearby", "59.904", "10.6847", settings=shell.settings).stdout)
    return shell


class Shell:
    """A folder with a `nearcast` that is the checkout's, and a way to the instance."""

    def __init__(self, up: Up, folder: Path) -> None:
        self.folder = folder
        facts = up.instance()
        self.settings = {"NEARCAST_ADDRESS": facts["address"], "NEARCAST_API_KEY": facts["api_key"]}
        command = folder / "nearcast"
        command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m nearcast_cli "$@"\n')
        command.chmod(0o755)

    def run(self, script: str) -> str:
        done = subprocess.run(
            ["sh", "-eu", "-c", script],
            cwd=self.folder,
            env={**environment(), **self.settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def test_the_first_two_commands_are_the_ones_that_exist() -> None:
    commands = re.findall(r"^(\./nearcast \w+)", blocks("sh")[0], re.MULTILINE)

    assert commands == ["./nearcast up", "./nearcast test"]
    assert "./nearcast test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_the_tour_leads_from_items_to_learned_statistics(shell: Shell) -> None:
    _, asking, recording, reporting, watching = blocks("sh")[1:]

    asked = shell.run(asking)
    assert "Courier, ships anywhere in town" in asked
    recorded = shell.run(recording)
    assert recorded.count("will be learned from") == 2
    assert "impression: recorded, will be learned from" in shell.run(reporting)
    eventually(lambda: re.search(r"\b[12] +1 +\d+\.\d+% +0 ", shell.run(watching)))


def test_the_python_on_the_first_screen_prints_a_slate(shell: Shell, up: Up) -> None:
    (code,) = blocks("python")
    facts = up.instance()
    assert SHOWN_ADDRESS in code
    assert SHOWN_KEY in code
    code = code.replace(SHOWN_ADDRESS, facts["address"]).replace(SHOWN_KEY, facts["api_key"])

    printed = shell.run(f"{shlex.quote(sys.executable)} - <<'END'\n{code}END\n")

    assert re.search(r"^1\. .+ \d+ m  \S{12}…$", printed, re.MULTILINE)


def test_every_page_that_readme_names_exists() -> None:
    linked = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]

    assert linked
    assert [link for link in linked if not (ROOT / link).exists()] == []

"""What a hint says to type can be typed as it stands."""

import ast
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nearcast_cli import checkout
from nearcast_cli.checkout import command_name
from nearcast_cli.commands.keys import rotate_signing
from nearcast_cli.main import COMMANDS, run
from nearcast_ledger.horizon import HORIZON_HOURS, REPLAY_WINDOW_HOURS

ROOT = Path(__file__).resolve().parents[3]
BARE = re.compile(rf"(?<!/)\bnearcast ({'|'.join(COMMANDS)})\b")
AUTHOR = "nearcast up"  # whom a revision and a key are by


def spoken(path: Path) -> Iterator[str]:
    """The texts of a module, without its docstrings: those are help, which names the installed command."""
    tree = ast.parse(path.read_text("utf-8"))
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.value


def test_no_hint_names_a_command_that_a_checkout_does_not_have() -> None:
    modules = [path for path in (ROOT / "cli").rglob("*.py") if path.name != "reference.py"]
    assert len(modules) > 50
    bare = [text for path in modules for text in spoken(path) if BARE.search(text) and text != AUTHOR]
    assert bare == []


def test_a_hint_fits_where_its_reader_stands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(ROOT)
    assert run(["stats", "--state", str(tmp_path)]) == 1
    assert ":  ./nearcast up " in capsys.readouterr().err

    monkeypatch.chdir(tmp_path)
    launcher = command_name()
    assert os.access(launcher, os.X_OK)
    assert run(["stats", "--address", "127.0.0.1:1"]) == 1
    assert f":  {launcher} keys create" in capsys.readouterr().err

    monkeypatch.setattr(checkout, "find_checkout", lambda: None)
    assert command_name() == "nearcast"


def test_the_help_tells_how_long_a_retired_signing_key_goes_on_verifying() -> None:
    days = (HORIZON_HOURS + REPLAY_WINDOW_HOURS) / 24
    assert f"goes on verifying for {days:g} days" in " ".join((rotate_signing.help or "").split())

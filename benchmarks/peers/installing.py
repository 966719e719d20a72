"""Packages that only a comparison needs, in a folder of their own: nearcast's environment stays as it is."""

import importlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

PATIENCE_S = 180.0


class PeerMissingError(Exception):
    """A peer cannot be had here; the message says why."""


def peers_folder() -> Path:
    """Where they are kept between runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "nearcast" / f"peers-{sys.version_info[0]}.{sys.version_info[1]}"


def bring(requirement: str, folder: Path) -> ModuleType:
    """The package of a pinned requirement, installed into the folder when it is not there."""
    name, _, version = requirement.partition("==")
    place = folder / f"{name}-{version}"
    if not (place / name).is_dir():
        _install(requirement, place)
    sys.path.append(str(place))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise PeerMissingError(f"{requirement} cannot be imported: {error}") from None


def _install(requirement: str, place: Path) -> None:
    """Beside the place first, so that what was broken off is not taken for whole."""
    draft = place.with_name(f"{place.name}.{os.getpid()}")
    argv = [*_installer(), "--quiet", "--no-deps", "--target", str(draft), requirement]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or ["the installer says nothing"]
            raise PeerMissingError(f"{requirement} cannot be installed: {said[-1]}")
        draft.rename(place)
    except subprocess.TimeoutExpired:
        raise PeerMissingError(f"{requirement} was not installed in {PATIENCE_S:.0f} s") from None
    except OSError as error:
        raise PeerMissingError(f"{requirement} cannot be installed: {error}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _installer() -> list[str]:
    """uv of this environment or of the machine, or else pip."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.is_file() else shutil.which("uv")
    if uv:
        return [uv, "pip", "install", "--python", sys.executable]
    if find_spec("pip") is None:
        raise PeerMissingError("there is neither uv nor pip")
    return [sys.executable, "-m", "pip", "install"]

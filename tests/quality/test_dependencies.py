"""Every dependency is decided in writing and pinned by hash."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.quality.sources import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
RUN = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
DEV = [Requirement(text) for text in PROJECT["dependency-groups"]["dev"]]


def read_lock(path: Path) -> dict[str, tuple[set[str], int]]:
    """By package: the versions locked (markers may choose between some) and the count of hashes."""
    locked: dict[str, tuple[set[str], int]] = {}
    for entry in re.split(r"\n(?=[A-Za-z0-9])", path.read_text(encoding="utf-8")):
        pinned = re.match(r"([A-Za-z0-9._-]+)==(\S+)", entry)
        if pinned:
            name, hashes = canonicalize_name(pinned[1]), entry.count("--hash=sha256:")
            versions, known = locked.get(name, (set(), hashes))
            locked[name] = (versions | {pinned[2]}, min(known, hashes))
    return locked


RUN_LOCK = read_lock(ROOT / "requirements.lock")
DEV_LOCK = read_lock(ROOT / "requirements-dev.lock")


@pytest.mark.parametrize("requirement", RUN, ids=str)
def test_lock_holds_each_direct_dependency(requirement: Requirement) -> None:
    versions, _ = RUN_LOCK[canonicalize_name(requirement.name)]
    assert all(version in requirement.specifier for version in versions)


@pytest.mark.parametrize("requirement", DEV, ids=str)
def test_dev_lock_holds_each_tool(requirement: Requirement) -> None:
    versions, _ = DEV_LOCK[canonicalize_name(requirement.name)]
    assert all(version in requirement.specifier for version in versions)


def test_dev_lock_contains_the_whole_run_lock() -> None:
    """So that one environment serves both commands."""
    assert {name: DEV_LOCK.get(name, (set(), 0))[0] for name in RUN_LOCK} == {
        name: versions for name, (versions, _) in RUN_LOCK.items()
    }


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock", "tools/installer.lock"])
def test_everything_locked_has_hashes(lock: str) -> None:
    locked = read_lock(ROOT / lock)
    assert locked
    assert not [name for name, (_, hashes) in locked.items() if hashes == 0]


@pytest.mark.parametrize("requirement", [*RUN, *DEV], ids=lambda requirement: requirement.name)
def test_decisions_name_each_dependency(requirement: Requirement) -> None:
    decisions = "\n".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))
    )
    named = re.search(rf"(?<![\w-]){re.escape(requirement.name)}(?![\w-])", decisions)
    assert named, f"write in docs/decisions/ why {requirement.name} is used"

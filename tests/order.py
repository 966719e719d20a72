"""Which files the tests begin with: the long ones, so that no worker is alone with one at the end."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The longest first, of those that take more than ten seconds on two cores; `--durations=0` tells how long.
# What one house of processes lives through stays together: the house takes time also when it is idle.
LONGEST = (
    "acceptance/test_town_learning.py",
    "quality/test_tools.py",
    "acceptance/test_cli_workers.py",
    "acceptance/test_cli_up.py",
    "unit/compiling/test_native.py",
)


def turn_of(path: Path) -> int:
    """Where a file comes: the long ones in their order, then all others as they were found."""
    return TURNS.get(path, len(TURNS))


TURNS = {ROOT / "tests" / name: turn for turn, name in enumerate(LONGEST)}

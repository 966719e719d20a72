"""Whether nearcast runs from a checkout, and where that is."""

import shlex
from pathlib import Path


def find_checkout() -> Path | None:
    """The root of the checkout this code lies in; None when it was installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "tests").is_dir() else None


def command_name() -> str:
    """What to type: the checkout's launcher, by its path for who stands elsewhere; or what is installed."""
    root = find_checkout()
    if root is None:
        return "nearcast"
    return "./nearcast" if Path.cwd() == root else shlex.quote(str(root / "nearcast"))

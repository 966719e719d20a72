"""Whether nearcast runs from a checkout, and where that is."""

from pathlib import Path


def find_checkout() -> Path | None:
    """The root of the checkout this code lies in; None when it was installed."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "tests").is_dir() else None


def command_name() -> str:
    """What to type: the launcher where somebody stands in a checkout, else the installed command."""
    root = find_checkout()
    return "./nearcast" if root is not None and Path.cwd() == root else "nearcast"

"""The files of the checkout that people write, without what tools make."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STUB_SUFFIXES = ("_pb2.py", "_pb2_grpc.py", "_pb2.pyi", "_pb2_grpc.pyi")


def rooms() -> list[Path]:
    """The package folder of every room."""
    return sorted(ROOT.glob("*/nearcast_*/"))


def files(*suffixes: str) -> Iterator[Path]:
    """Every written file with one of the suffixes, hidden folders and stubs left out."""
    for top in sorted(ROOT.iterdir()):
        if top.name.startswith("."):
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(ROOT).parts)
            if (
                path.is_file()
                and not hidden
                and path.suffix in suffixes
                and not path.name.endswith(STUB_SUFFIXES)
            ):
                yield path


def python_files() -> list[Path]:
    return [ROOT / "nearcast", *files(".py")]


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()

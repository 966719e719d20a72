"""SQL by name: `-- name: verb_noun` lines in `sql/<noun>.sql`."""

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)[ \t]*\n", re.MULTILINE)


def query(noun: str, name: str) -> str:
    """The text of one query."""
    return queries(noun)[name]


@cache
def queries(noun: str) -> dict[str, str]:
    """Every query of one file."""
    text = resources.files("nearcast_store").joinpath("sql", f"{noun}.sql").read_text("utf-8")
    _, *parts = _NAME.split(text)
    names, bodies = parts[::2], parts[1::2]
    if len(set(names)) != len(names):
        raise ValueError(f"sql/{noun}.sql names a query twice: {sorted(names)}")
    return dict(zip(names, (body.strip() for body in bodies), strict=True))


def nouns() -> list[str]:
    """The files there are."""
    folder = resources.files("nearcast_store").joinpath("sql")
    return sorted(
        entry.name.removesuffix(".sql") for entry in folder.iterdir() if entry.name.endswith(".sql")
    )

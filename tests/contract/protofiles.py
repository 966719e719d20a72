"""The contract's own words: what the .proto files say of every RPC, field and value."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "protos" / "nearcast" / "v1"
_OPENS = re.compile(r"^(service|message|enum|oneof)\s+(\w+)\s*\{")
_RPC = re.compile(r"^rpc\s+(\w+)\((?:stream\s+)?(\w+)\)\s+returns\s+\((?:stream\s+)?(\w+)\)")
_VALUE = re.compile(r"^([A-Z][A-Z0-9_]+)\s*=\s*(\d+);")
_FIELD = re.compile(r"^(?:(optional|repeated)\s+)?(map<[^>]+>|[\w.]+)\s+(\w+)\s*=\s*(\d+);")


@dataclass(frozen=True)
class Said:
    """One declaration with the comment above it; `kind` is rpc, field, value, service, message or enum."""

    kind: str
    parent: str
    name: str
    type: str
    comment: str


def said(path: Path) -> Iterator[Said]:
    """Every declaration of a file, in its order."""
    comment: list[str] = []
    nesting: list[tuple[str, str]] = []
    for line in (raw.strip() for raw in path.read_text(encoding="utf-8").splitlines()):
        if line.startswith("//"):
            comment.append(line.removeprefix("//").removeprefix(" "))
            continue
        parent = next((name for kind, name in reversed(nesting) if kind != "oneof"), "")
        if opened := _OPENS.match(line):
            nesting.append((opened[1], opened[2]))
            yield Said(opened[1], parent, opened[2], "", _text(comment))
        elif rpc := _RPC.match(line):
            yield Said("rpc", parent, rpc[1], f"{rpc[2]} {rpc[3]}", _text(comment))
        elif value := _VALUE.match(line):
            yield Said("value", parent, value[1], value[2], _text(comment))
        elif found := _FIELD.match(line):
            shown = " ".join(filter(None, (found[1], found[2])))
            yield Said("field", parent, found[3], shown, _text(comment))
        if line.endswith("}") and nesting and not line.startswith(("rpc", "//")):
            nesting.pop()
        comment = []


def everything() -> list[Said]:
    """Every declaration of the contract."""
    return [one for path in sorted(FOLDER.glob("*.proto")) for one in said(path)]


def _text(comment: list[str]) -> str:
    """Paragraphs as single lines."""
    return "\n".join(" ".join(part.split()) for part in "\n".join(comment).split("\n\n"))

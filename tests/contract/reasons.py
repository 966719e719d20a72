"""Which reasons the code gives, and under which status: read from its source, so that none can hide."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import grpc

from nearcast.v1 import admin_pb2, event_pb2, outcome_pb2, recommend_pb2, stats_pb2
from nearcast.v1.error_reason_pb2 import ErrorReason
from nearcast_server import errors
from nearcast_server.replaying import Why
from nearcast_server.rpc.status import CODES

ROOT = Path(__file__).parents[2]
# The rooms whose words reach a caller.
SOURCES = (
    "server/nearcast_server",
    "catalogue/nearcast_catalogue",
    "geo/nearcast_geo",
    "store/nearcast_store/intake",
)
REASONS = frozenset(name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()) - {"UNSPECIFIED"}  # noqa: SIM118
_PLAIN = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
# Other words in capitals: of gRPC, of the contract's other enums, of Redis.
_OTHER_ENUMS = (
    recommend_pb2.DegradedReason,
    stats_pb2.StopAdvice,
    outcome_pb2.Advice,
    event_pb2.Durability,
    event_pb2.StreamEnd,
    recommend_pb2.ExplainedItem.Standing,
    recommend_pb2.ExplainedItem.Cause,
    admin_pb2.ExplainDecisionResponse.Replay,
)
OTHERS = {
    *(code.name for code in grpc.StatusCode),
    *(value.split("_", 2)[-1] for enum in _OTHER_ENUMS for value in enum.keys()),  # noqa: SIM118
    *(value for enum in _OTHER_ENUMS for value in enum.keys()),  # noqa: SIM118
    *(value.split("_", 1)[-1] for enum in _OTHER_ENUMS for value in enum.keys()),  # noqa: SIM118
    *get_args(Why),
    "NONE",
    "PING",
    "UTC",
    "ERROR_REASON_UNSPECIFIED",
}
_STATUS = {kind.__name__: code.name for kind, code in CODES.items()}
# An event whose token proves nothing is refused when it has no id of its own either.
_WITHOUT_EVENT_ID = ("TOKEN_INVALID", "TOKEN_SUBJECT")
_TABLES = {"_STORES": "UNAVAILABLE"}


def words() -> Iterator[tuple[str, str, list[ast.AST]]]:
    """Every word in capitals: where, which, and what it stands in, from the outside in."""
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node, around in _nested(tree, []):
                word = node.value if isinstance(node, ast.Constant) else ""
                if isinstance(word, str) and len(word) > 1 and _PLAIN.fullmatch(word):
                    yield f"{path.name}:{getattr(node, 'lineno', 0)}", word, around


def statuses() -> dict[str, set[str]]:
    """Each reason that the code gives, with the statuses it is given under."""
    found: dict[str, set[str]] = defaultdict(set)
    for _, word, around in words():
        if word in REASONS:
            status = _status_of(word, around)
            if status:
                found[word].add(status)
    for word in _WITHOUT_EVENT_ID:
        found[word].add("INVALID_ARGUMENT")
    return dict(found)


def _nested(node: ast.AST, around: list[ast.AST]) -> Iterator[tuple[ast.AST, list[ast.AST]]]:
    yield node, around
    for child in ast.iter_child_nodes(node):
        yield from _nested(child, [*around, node])


def _status_of(word: str, around: list[ast.AST]) -> str:
    for node in reversed(around):
        if isinstance(node, ast.Call):
            return _status_of_call(word, node)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            return _TABLES.get(getattr(target, "id", ""), "INVALID_ARGUMENT")
        if isinstance(node, ast.Compare | ast.Subscript):
            return ""
    return "INVALID_ARGUMENT"


def _status_of_call(word: str, call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute) and call.func.attr == "append":
        return ""  # what a slate says of itself
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name == "Outcome":
        first = call.args[0] if call.args else None
        status = first.value if isinstance(first, ast.Constant) else "OK"
        return "" if status == word else str(status)
    return _STATUS.get(name, "INVALID_ARGUMENT")


def error_classes() -> set[type[errors.RequestError]]:
    """Every error a call can end with."""
    return {
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type)
        and issubclass(kind, errors.RequestError)
        and kind is not errors.RequestError
    }

"""One row of the ledger as one line of JSON."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from nearcast_cli.moment import shown, stamp
from nearcast_ledger.event import Durability, Unlearned
from nearcast_ledger.requestid import uuid7_ms

_AS_TEXT = ("posting", "policy_revision", "policy_epoch")
_LEFT_OUT = ("identity_day", "identity_kind", "origin_id", "properties", "unlearned_reason", "durability")


def line_of(tenant: str, row: Mapping[str, Any]) -> bytes:
    """Names as the API spells them; what the row does not have is left out."""
    origin: UUID = row["origin_id"]
    line: dict[str, Any] = {"time": shown(uuid7_ms(origin)), "tenant": tenant, "originId": str(origin)}
    for name, value in row.items():
        if value is not None and name not in _LEFT_OUT:
            line[_camel(name)] = str(value) if name in _AS_TEXT else _plain(value)
    if not row["learned"]:
        line["unlearnedReason"] = Unlearned(row["unlearned_reason"]).name
    line["durability"] = Durability(row["durability"]).name
    if row["properties"] is not None:
        line["properties"] = json.loads(row["properties"])
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return stamp(value, "microseconds")
    return str(value) if isinstance(value, UUID) else value

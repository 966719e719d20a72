"""A row of a customer's table as the report of an event, in the words that the gateway judges by."""

import math
from collections.abc import Mapping

import msgspec

from nearcast_catalogue.checking import Violation
from nearcast_ledger.person import Person
from nearcast_ledger.sourceid import MOST_MS, source_event_id
from nearcast_store.behaviour.table import BehaviourRow
from nearcast_store.intake.judging import Report
from nearcast_store.intake.properties import encode_properties

_ROW_BYTES = 64


def report_of(row: BehaviourRow, source: str, kinds: Mapping[str, str]) -> Report:
    """What the row says; what it cannot say is told with it, so that others still count."""
    values = {role: value or "" for role, value in row.values.items()}
    time_us = _time_us(row.seconds)
    value, properties = _value(values.get("value", "")), _properties(values.get("properties", ""))
    problem = next((each for each in (_unreadable(row), time_us, value, properties) if _is_wrong(each)), None)
    word, user = values.get("kind", ""), values.get("user", "")
    return Report(
        kind=kinds.get(word, word),
        reward_token=values.get("reward_token", ""),
        event_id=str(source_event_id(source, row.id, time_us // 1000)) if isinstance(time_us, int) else "",
        item_id=values.get("item", ""),
        person=Person(user_id=user, anonymous_id="" if user else values.get("anonymous", "")),
        session_id=values.get("session", ""),
        occurred_at_us=time_us if isinstance(time_us, int) else None,
        value=value if isinstance(value, float) else None,
        properties=properties if isinstance(properties, bytes) else b"",
        size_bytes=_ROW_BYTES + sum(len(each.encode(errors="surrogatepass")) for each in values.values()),
        problem=problem if isinstance(problem, Violation) else None,
    )


def _is_wrong(part: object) -> bool:
    return isinstance(part, Violation)


def _unreadable(row: BehaviourRow) -> Violation | None:
    return Violation("", "ROW_UNREADABLE", row.fault) if row.fault else None


def _time_us(seconds: float) -> int | Violation:
    if math.isfinite(seconds) and 0 <= seconds * 1000 <= MOST_MS:
        return round(seconds * 1_000_000)
    return Violation("time", "TIMESTAMP_RANGE", "must be a moment since 1970, not infinity and no NaN")


def _value(text: str) -> float | Violation | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        return Violation("value", "VALUE_OUT_OF_RANGE", "must be a number")


def _properties(text: str) -> bytes | Violation:
    if not text:
        return b""
    try:
        plain = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return Violation("properties", "PROPERTIES_LIMIT", "must be JSON")
    if plain is None:
        return b""
    if not isinstance(plain, dict):
        return Violation("properties", "PROPERTIES_LIMIT", "must be a JSON object")
    return encode_properties(plain)

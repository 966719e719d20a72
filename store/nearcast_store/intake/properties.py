"""What an event may carry besides: JSON that Postgres can hold, bounded in number, depth and size."""

import math
from collections.abc import Iterator, Mapping

import msgspec

from nearcast_catalogue.checking import Violation

MOST_PROPERTIES = 64
MOST_PROPERTY_KEY_CHARS = 64
MOST_PROPERTIES_BYTES = 8192
DEEPEST_PROPERTY = 4


def encode_properties(properties: Mapping[str, object]) -> bytes | Violation:
    """The JSON of plain values, or the first rule they break."""
    if len(properties) > MOST_PROPERTIES:
        return _limit(f"must have at most {MOST_PROPERTIES} entries, got {len(properties)}")
    rule = next(_broken(properties, 1), None)
    if rule is not None:
        return _limit(rule)
    try:
        text = msgspec.json.encode(properties)
    except (ValueError, OverflowError):
        return _limit("must hold text that is Unicode and whole numbers of at most 64 bits")
    if len(text) > MOST_PROPERTIES_BYTES:
        return _limit(f"must have at most {MOST_PROPERTIES_BYTES} bytes as JSON, got {len(text)}")
    return text


def _broken(value: object, depth: int) -> Iterator[str]:
    match value:
        case Mapping() | list() if depth > DEEPEST_PROPERTY:
            yield f"must be nested at most {DEEPEST_PROPERTY} deep"
        case Mapping():
            for key, inner in value.items():
                if not 1 <= len(key) <= MOST_PROPERTY_KEY_CHARS or "\0" in key:
                    yield f"must have keys of 1 to {MOST_PROPERTY_KEY_CHARS} characters without NUL"
                yield from _broken(inner, depth + 1)
        case list():
            for entry in value:
                yield from _broken(entry, depth + 1)
        case float() if not math.isfinite(value):
            yield "must hold finite numbers"
        case str() if "\0" in value:
            yield "must hold text without NUL"


def _limit(rule: str) -> Violation:
    return Violation("properties", "PROPERTIES_LIMIT", rule)

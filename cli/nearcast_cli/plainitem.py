"""Lines of NDJSON that are written plainly as items, which nearly all are, without the general reader.

What is read here the general reader reads alike; whatever it might refuse or read otherwise is left to it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from nearcast.v1.item_pb2 import Item, Tag
from nearcast.v1.location_pb2 import LatLng

_MOST_INTEGER = 2**53


class _NotPlainError(Exception):
    """A line for the general reader."""


def read_plain_item(line: bytes) -> Item | None:
    """The item; None when the line is anything out of the ordinary."""
    try:
        said = _decode(line.decode())
        if type(said) is not dict:
            return None
        item = Item()
        for name, value in said.items():
            _FILL[name](item, value)
    except (_NotPlainError, AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return None
    return item


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _NotPlainError
    return found


_decode = json.JSONDecoder(object_pairs_hook=_once).decode


def _text(value: object) -> str:
    if type(value) is not str:
        raise _NotPlainError
    return value


def _number(value: object) -> float:
    if type(value) is float and value - value == 0.0:
        return value
    if type(value) is int and abs(value) <= _MOST_INTEGER:
        return float(value)
    raise _NotPlainError


def _entries(value: object) -> list[Any]:
    if type(value) is not list:
        raise _NotPlainError
    return value


def _fill_text(field: str) -> Callable[[Item, Any], None]:
    return lambda item, value: setattr(item, field, _text(value))


def _fill_time(field: str) -> Callable[[Item, Any], None]:
    return lambda item, value: getattr(item, field).FromJsonString(_text(value))


def _fill_locations(item: Item, value: object) -> None:
    item.locations.extend(
        [LatLng(**{name: _number(each) for name, each in place.items()}) for place in _entries(value)]
    )


def _fill_tags(item: Item, value: object) -> None:
    for said in _entries(value):
        tag = Tag(name=_text(said["name"]))
        if len(said) > 1:
            tag.relevance = _number(said["relevance"])
        if len(said) > 2:
            raise _NotPlainError
        item.tags.append(tag)


def _fill_attributes(item: Item, value: dict[str, object]) -> None:
    for key, each in value.items():
        item.attributes[key] = _text(each)


def _fill_reach(item: Item, value: object) -> None:
    item.reach_m = _number(value)


def _fill_version(item: Item, value: object) -> None:
    if type(value) is not int:
        raise _NotPlainError
    item.version = value


_FILLS: Mapping[str, Callable[[Item, Any], None]] = {
    **{name: _fill_text(name) for name in ("title", "category", "owner", "url", "image_url", "item_id")},
    **{name: _fill_time(name) for name in ("starts_at", "expires_at")},
    "locations": _fill_locations,
    "tags": _fill_tags,
    "attributes": _fill_attributes,
    "reach_m": _fill_reach,
    "version": _fill_version,
}
_FILL = {**_FILLS, **{Item.DESCRIPTOR.fields_by_name[name].json_name: fill for name, fill in _FILLS.items()}}

"""Rows of CSV as items: which column is which field, and what is wrong with a cell."""

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from nearcast.v1.item_pb2 import Item
from nearcast.v1.location_pb2 import LatLng
from nearcast_cli.checkout import command_name
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.jsonlines import NoMessageError, read_message

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+")
_TEXTS = ("item_id", "title", "category", "owner", "url", "image_url", "reach_area", "etag")
_TIMES = ("starts_at", "expires_at")
_JSONS = ("locations", "hours", "attributes")
_PAIR = ("latitude", "longitude")
_ATTRIBUTE = "attributes."

Fill = Callable[[Item, str], None]


class Columns:
    """What each column of a file fills. Cells that are empty say nothing."""

    def __init__(self, header: Sequence[str], renamed: Mapping[str, str]) -> None:
        """`renamed` gives the column of a field where it has another name. Raises CommandFailedError."""
        names = [name.strip() for name in header]
        fields = {column: field for field, column in renamed.items()}
        _check_names(names, renamed)
        self._fills = [(name, *_fill(fields.get(name, name))) for name in names]
        self.ignored = [name for name, field, _ in self._fills if not field]
        fields_filled = [field for _, field, _ in self._fills]
        known = set(fields_filled)
        if "item_id" not in known:
            raise _misfit(f"no column is the item_id; there are {', '.join(names)}", "--column item_id=NAME")
        if "locations" not in known and not {"latitude", "longitude"} <= known:
            raise _misfit(
                f"no columns are latitude and longitude; there are {', '.join(names)}",
                "--column latitude=NAME --column longitude=NAME",
            )
        if "locations" in known and not known.isdisjoint(_PAIR):
            raise _misfit("there are locations and also a latitude or longitude", "")
        self._pair = [] if "locations" in known else [fields_filled.index(field) for field in _PAIR]

    def item(self, cells: Sequence[str]) -> Item:
        """One row. Raises NoMessageError."""
        if len(cells) != len(self._fills):
            hint = _hint_of_comma(cells) if len(cells) > len(self._fills) else ""
            raise NoMessageError(f"has {len(cells)} cells where the header has {len(self._fills)}{hint}")
        item = Item()
        for (name, field, fill), cell in zip(self._fills, cells, strict=True):
            if fill is not None and cell:
                try:
                    fill(item, cell)
                except NoMessageError:
                    raise
                except ValueError as error:
                    raise NoMessageError(f"column {name}: {error}", field) from None
        if self._pair:
            _check_pair([cells[place] for place in self._pair])
        return item


def _check_pair(cells: Sequence[str]) -> None:
    """Half a place would silently be one on the equator or on the meridian."""
    for field, cell, other in zip(_PAIR, cells, reversed(cells), strict=True):
        if other and not cell:
            raise NoMessageError("is empty and the other coordinate is not", f"locations[0].{field}")


def _check_names(names: Sequence[str], renamed: Mapping[str, str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _misfit(f"the header has {', '.join(twice)} more than once", "")
    for field, column in renamed.items():
        if not _fill(field)[0]:
            known = ", ".join((*_TEXTS, *_PLAIN, *_TIMES, *_JSONS, "attributes.KEY"))
            raise _misfit(f"an item has no field {field}; it has {known}", "")
        if column not in names:
            raise _misfit(f"there is no column {column}; there are {', '.join(names)}", "")
        if field in names and field != column:
            raise _misfit(f"both {field} and {column} would be the {field}", "")


def _fill(field: str) -> tuple[str, Fill | None]:
    if field in _PLAIN:
        return field, _PLAIN[field]
    if field in _TEXTS:
        return field, lambda item, cell: setattr(item, field, cell)
    if field in _TIMES:
        return field, lambda item, cell: getattr(item, field).FromJsonString(_time(cell))
    if field in _JSONS:
        return field, lambda item, cell: _merge(item, field, cell)
    key = field.removeprefix(_ATTRIBUTE)
    if field.startswith(_ATTRIBUTE) and key:
        return field, lambda item, cell: item.attributes.__setitem__(key, cell)
    return "", None


def _fill_latitude(item: Item, cell: str) -> None:
    _place(item).latitude = _number(cell)


def _fill_longitude(item: Item, cell: str) -> None:
    _place(item).longitude = _number(cell)


def _fill_reach(item: Item, cell: str) -> None:
    item.reach_m = _number(cell)


def _fill_version(item: Item, cell: str) -> None:
    if not re.fullmatch(r"[+-]?\d{1,19}", cell.strip()):
        raise ValueError(f"must be a whole number, got {cell[:40]}")
    item.version = int(cell)


def _fill_tags(item: Item, cell: str) -> None:
    if cell.lstrip().startswith("["):
        _merge(item, "tags", cell)
        return
    for name in cell.split("|"):
        if name.strip():
            item.tags.add(name=name.strip())


_PLAIN: Mapping[str, Fill] = {
    "latitude": _fill_latitude,
    "longitude": _fill_longitude,
    "reach_m": _fill_reach,
    "version": _fill_version,
    "tags": _fill_tags,
}


def _place(item: Item) -> LatLng:
    return item.locations[0] if item.locations else item.locations.add()


def _number(cell: str) -> float:
    text = cell.strip()
    if _DECIMAL_COMMA.fullmatch(text):
        raise ValueError(f"{text[:40]} has a decimal comma; write {text[:40].replace(',', '.')}")
    if not _NUMBER.fullmatch(text) or not math.isfinite(float(text)):
        raise ValueError(f"must be a number such as 59.9139, got {text[:40]}")
    return float(text)


def _time(cell: str) -> str:
    text = cell.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None or "T" not in text:
        raise ValueError(f"must be a time with its zone such as 2026-05-17T18:00:00+02:00, got {text[:40]}")
    return text


def _merge(item: Item, field: str, cell: str) -> None:
    """A cell of JSON, as the field of a line of NDJSON."""
    try:
        said = json.dumps({field: json.loads(cell)})
    except (ValueError, RecursionError) as error:
        raise ValueError(f"must be JSON as in a line of NDJSON: {error}") from None
    item.MergeFrom(read_message(said.encode(), Item()))


def _hint_of_comma(cells: Sequence[str]) -> str:
    return "; quote cells that hold the delimiter, and write numbers with a point" if cells else ""


def _misfit(message: str, option: str) -> CommandFailedError:
    advice = f"Name it with:  {option}" if option else f"See:  {command_name()} items import --help"
    return CommandFailedError(message, reason="COLUMNS_UNKNOWN", field="header", advice=advice)

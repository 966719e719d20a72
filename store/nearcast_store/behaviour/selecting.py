"""The statements that read a table of behaviour: by (time, id), never by offset, and every value as text.

Whatever stands in a column has a text, so no value of one row can make a statement fail.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from difflib import get_close_matches

from nearcast_config.source import Source
from nearcast_store.behaviour.errors import SourceMisfitError

ROLES = ("kind", "item", "user", "anonymous", "session", "reward_token", "value", "properties")
MOST_TEXT_CHARS = 16385

_CLOCKS = {"timestamptz": "+00", "timestamp": ""}
_NUMBERS = ("int4", "int8", "numeric", "float8")
_IDS = ("int2", "int4", "int8", "numeric", "uuid", "text", "varchar")
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}


@dataclass(frozen=True, slots=True)
class Selection:
    """How one source is read, once its columns' types are known."""

    source: Source
    time_type: str
    id_type: str

    def first(self) -> str:
        """From a time on: $1 and up to $2, at most $3 rows."""
        return self._page(f"{self._time} >= $1::text::{self.time_type}")

    def following(self) -> str:
        """After a row: up to $1, at most $2 rows, beyond the time $3 and the id $4."""
        place = f"({self._time}, {self._id}) > ($3::text::{self.time_type}, $4::text::{self.id_type})"
        return self._page(place, upper=1, most=2)

    def bare(self, statement: str) -> str:
        """The same page without what may be unreadable."""
        _, _, rest = statement.partition("\nfrom ")
        return f"select {', '.join(self._place)}\nfrom {rest}"

    def alone(self) -> str:
        """The row of the time $1 and the id $2."""
        place = f"{self._time} = $1::text::{self.time_type} and {self._id} = $2::text::{self.id_type}"
        return f"select {', '.join(self._everything)}\nfrom {relation(self.source)}\nwhere {place} limit 1"

    def ahead(self) -> str:
        """What lies beyond the time $1, at most $2 rows: of a wrong clock, infinity, no number."""
        return (
            f"select {', '.join(self._everything)}\nfrom {relation(self.source)}\n"
            f"where {self._time} > $1::text::{self.time_type}\n"
            f"order by {self._time} desc, {self._id} desc limit $2"
        )

    def newest(self) -> str:
        """The newest rows, at most $1."""
        return (
            f"select {', '.join(self._everything)}\nfrom {relation(self.source)}\n"
            f"where {self._time} is not null and {self._id} is not null\n"
            f"order by {self._time} desc, {self._id} desc limit $1"
        )

    def without_place(self) -> str:
        """How many rows have no time or no id, up to $1: they cannot be read."""
        return (
            f"select count(*)\nfrom (select from {relation(self.source)}\n"  # noqa: S608 - names are quoted
            f"where {self._time} is null or {self._id} is null limit $1) as lost"
        )

    def moment(self, seconds: float, *, up: bool = False) -> str:
        """A time as the column writes it."""
        zone = _CLOCKS.get(self.time_type)
        if zone is not None:
            return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S.%f}{zone}"
        number = seconds * _PER_SECOND[self.source.epoch_unit]
        return str(math.ceil(number) if up else math.floor(number))

    def _page(self, place: str, upper: int = 2, most: int = 3) -> str:
        return (
            f"select {', '.join(self._everything)}\nfrom {relation(self.source)}\n"
            f"where {place} and {self._time} <= ${upper}::text::{self.time_type}\n"
            f"order by {self._time}, {self._id} limit ${most}"
        )

    @property
    def _time(self) -> str:
        return _column(self.source.columns.time)

    @property
    def _id(self) -> str:
        return _column(self.source.columns.id)

    @property
    def _place(self) -> Sequence[str]:
        return (f"{self._time}::text", f"{self._id}::text", self._seconds)

    @property
    def _seconds(self) -> str:
        if self.time_type in _CLOCKS:
            return f"extract(epoch from {self._time})::float8"
        # A numeric may be larger than any float8.
        number = f"least({self._time}, 1e18)" if self.time_type == "numeric" else self._time
        return f"{number}::float8 / {_PER_SECOND[self.source.epoch_unit]}"

    @property
    def _everything(self) -> Sequence[str]:
        named = ((role, getattr(self.source.columns, role)) for role in ROLES)
        return (
            *self._place,
            *(
                f"left({_column(column)}::text, {MOST_TEXT_CHARS})" if column else "null::text"
                for _, column in named
            ),
        )


def relation(source: Source) -> str:
    """The table or the query, as something to select from."""
    if source.query.strip():
        return f"(\n{source.query.strip().rstrip(';')}\n) as source"
    parts = source.table.strip().split(".")
    return ".".join(quoted(part.removeprefix('"').removesuffix('"')) for part in parts) + " as source"


def quoted(name: str) -> str:
    """An identifier, whatever is in it."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"'


def _column(name: str) -> str:
    """Of the table: by its bare name an order would go by the text that is selected under it."""
    return f"source.{quoted(name)}"


def selection_of(source: Source, types: Mapping[str, str]) -> Selection:
    """How to read a source whose columns have these types. Raises SourceMisfitError."""
    for role in ("time", "id", *ROLES):
        column = getattr(source.columns, role)
        if column and column not in types:
            raise SourceMisfitError(_no_such_column(role, column, list(types)))
    time_type, id_type = types[source.columns.time], types[source.columns.id]
    _require("time", source.columns.time, time_type, (*_CLOCKS, *_NUMBERS))
    _require("id", source.columns.id, id_type, _IDS)
    return Selection(source, time_type, id_type)


def _no_such_column(role: str, column: str, there: Sequence[str]) -> str:
    near = get_close_matches(column, there, 1)
    meant = f"did you mean {near[0]}? " if near else ""
    return (
        f"keeper.source.columns.{role}: the source has no column {column}; {meant}"
        f"It has: {', '.join(there[:40])}. Set the key to one of them"
        + ("" if role in ("time", "id", "kind") else ', or to "" if there is none')
    )


def _require(role: str, column: str, found: str, allowed: Sequence[str]) -> None:
    if found not in allowed:
        raise SourceMisfitError(
            f"keeper.source.columns.{role}: column {column} is of type {found}, and must be one of "
            f"{', '.join(allowed)}; cast it in a keeper.source.query"
        )

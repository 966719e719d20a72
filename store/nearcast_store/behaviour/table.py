"""A table of behaviour in a database that is not ours: it is only ever read."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg

from nearcast_config.source import Source
from nearcast_store.behaviour.errors import RowUnreadableError, SourceMisfitError, translated_source
from nearcast_store.behaviour.selecting import ROLES, Selection, relation, selection_of

_SETTINGS = (
    "set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; set local extra_float_digits = 1; "
    "set local statement_timeout = {timeout_ms}"
)
_ONE_BY_ONE = 100

_Arguments = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class BehaviourRow:
    """One row: its place as the table writes it, the time in unix seconds, and what stands under each role.

    `fault` says why nothing but the place could be read.
    """

    time: str
    id: str
    seconds: float
    values: dict[str, str | None] = field(default_factory=dict)
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows by time and id; `ended` when there are no more for now."""

    rows: Sequence[BehaviourRow]
    ended: bool


Place = float | tuple[str, str]
"""Where to read on: from a time in unix seconds, or after the row of that time and id."""


class BehaviourTable:
    """Opens a connection for each reading: the database may be away for as long as it likes."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Reading"]:
        """A reading, closed at the end. Raises SourceUnavailableError, SourceMisfitError."""
        source = self._source
        with translated_source():
            connection = await asyncpg.connect(
                source.dsn,
                timeout=source.timeout_s,
                command_timeout=source.timeout_s + 5,
                statement_cache_size=0,  # so that it also works behind a pooler
                server_settings={"application_name": "nearcast source"},
            )
        try:
            types = await _types(connection, source)
            yield Reading(connection, selection_of(source, types))
        finally:
            await _close(connection)


class Reading:
    """One connection to the table; each page is a transaction of its own that cannot write."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", selection: Selection) -> None:
        self._connection = connection
        self.selection = selection

    async def page(self, place: Place, until_s: float, most: int) -> Page:
        """The rows from the place up to that time, by time and id."""
        until = self.selection.moment(until_s, up=True)
        if isinstance(place, tuple):
            return await self._rows(self.selection.following(), (until, most, *place), 1)
        return await self._rows(self.selection.first(), (self.selection.moment(place), until, most), 2)

    async def ahead(self, beyond_s: float, most: int) -> Sequence[BehaviourRow]:
        """The last rows beyond that time."""
        beyond = self.selection.moment(beyond_s, up=True)
        return (await self._rows(self.selection.ahead(), (beyond, most), 1)).rows

    async def newest(self, most: int) -> Sequence[BehaviourRow]:
        """The last rows."""
        return (await self._rows(self.selection.newest(), (most,), 0)).rows

    async def without_place(self, most: int) -> int:
        """How many rows can never be read, counted up to so many."""
        rows = await _read(self._connection, self.selection.source, self.selection.without_place(), (most,))
        return int(rows[0][0])

    async def _rows(self, statement: str, arguments: _Arguments, at: int) -> Page:
        """The limit is arguments[at]."""
        try:
            rows = await _read(self._connection, self.selection.source, statement, arguments)
        except RowUnreadableError:
            return await self._one_by_one(statement, arguments, at)
        return Page([_row_of(row) for row in rows], ended=len(rows) < int(arguments[at]))

    async def _one_by_one(self, statement: str, arguments: _Arguments, at: int) -> Page:
        """The same page, or the beginning of it, so that only what is unreadable itself is left out."""
        most = min(int(arguments[at]), _ONE_BY_ONE)
        fewer = (*arguments[:at], most, *arguments[at + 1 :])
        selection = self.selection
        try:
            places = await _read(self._connection, selection.source, selection.bare(statement), fewer)
        except RowUnreadableError as error:
            raise SourceMisfitError(
                f"time or id of a row cannot be read: {error}; leave it out in a keeper.source.query, or, if "
                "the columns are others than before, give the source another keeper.source.name"
            ) from error
        found = [await self._alone(place) for place in places]
        return Page([row for row in found if row is not None], ended=len(places) < most)

    async def _alone(self, place: asyncpg.Record) -> BehaviourRow | None:
        """None when it has gone meanwhile."""
        time, row_id, seconds = place
        try:
            rows = await _read(
                self._connection, self.selection.source, self.selection.alone(), (time, row_id)
            )
        except RowUnreadableError as error:
            return BehaviourRow(time, row_id, seconds, fault=str(error))
        return _row_of(rows[0]) if rows else None


async def _close(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    try:
        await connection.close(timeout=1.0)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


def _row_of(row: asyncpg.Record) -> BehaviourRow:
    time, row_id, seconds, *values = row
    return BehaviourRow(time, row_id, seconds, dict(zip(ROLES, values, strict=True)))


async def _types(connection: "asyncpg.Connection[asyncpg.Record]", source: Source) -> dict[str, str]:
    """Of each column by its name."""
    with translated_source():
        async with connection.transaction(readonly=True):
            await connection.execute(_SETTINGS.format(timeout_ms=int(source.timeout_s * 1000)))
            statement = await connection.prepare(f"select * from {relation(source)} limit 0")  # noqa: S608
            return {each.name: each.type.name for each in statement.get_attributes()}


async def _read(
    connection: "asyncpg.Connection[asyncpg.Record]",
    source: Source,
    statement: str,
    arguments: _Arguments,
) -> "list[asyncpg.Record]":
    with translated_source():
        async with connection.transaction(readonly=True):
            await connection.execute(_SETTINGS.format(timeout_ms=int(source.timeout_s * 1000)))
            return await connection.fetch(statement, *arguments)

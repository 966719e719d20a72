"""What reading somebody else's database can fail with; the messages name the setting to change."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from nearcast_store.errors import StoreError

_ADDRESS = "keeper.source.dsn is no address of a Postgres; write postgresql://reader@host:5432/database"
_NO_RIGHT = "the source's role lacks a right: {}; run there: grant select on <the table> to <the role>"
_TOO_LONG = (
    "a statement took longer than keeper.source.timeout_s: {}; is there an index on the time and id columns?"
)
# Of what the operator wrote: no such table or schema, syntax, types, ambiguity, functions.
_WRITTEN = "42"
_VALUE = "22"


class SourceError(StoreError):
    """The source of behaviour cannot be read."""


class SourceUnavailableError(SourceError):
    """Its database does not answer."""


class SourceMisfitError(SourceError):
    """Its table is not as the settings say."""


class RowUnreadableError(Exception):
    """Some value of a page cannot be given out by its own database, or is no text."""


@contextmanager
def translated_source() -> Iterator[None]:
    """Raise what a driver's error means for a source, with the cause kept."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _meaning(error) from error
    except UnicodeDecodeError as error:
        raise RowUnreadableError("holds text that is not UTF-8") from error
    except (OSError, TimeoutError, asyncpg.InternalClientError) as error:
        said = str(error) or type(error).__name__
        raise SourceUnavailableError(f"the source's database does not answer: {said}") from error
    except asyncpg.InterfaceError as error:
        if isinstance(error, ValueError):
            raise SourceMisfitError(_ADDRESS) from None
        raise SourceUnavailableError(f"the source's database does not answer: {error}") from error


def _meaning(error: asyncpg.PostgresError) -> Exception:
    state = error.sqlstate or ""
    if state == "42501":
        return SourceMisfitError(_NO_RIGHT.format(error))
    if state == "57014":
        return SourceUnavailableError(_TOO_LONG.format(error))
    if state.startswith(_WRITTEN):
        return SourceMisfitError(f"keeper.source.table or keeper.source.query cannot be read: {error}")
    if state.startswith(_VALUE):
        return RowUnreadableError(str(error))
    return SourceUnavailableError(f"the source's database cannot do this now: {error} ({state})")

"""Connections to Postgres, and its errors in our words."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Literal, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from nearcast_store.errors import DataRefusedError, SchemaError, StoreUnavailableError

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

Isolation: TypeAlias = Literal["read_committed", "repeatable_read"]

MIGRATE = "run `nearcast migrate`"

# Classes of SQLSTATE that say something about the server or the moment, never about the value:
# connection, transaction state, authorisation, no such database, rollback, resources, prerequisite (locks),
# operator intervention (shutdown, timeout), system (disk), privileges.
_UNAVAILABLE = ("08", "25", "28", "3D", "40", "53", "55", "57", "58", "42501")
_REFUSED = ("22", "23")
_NO_SUCH_TABLE_OR_COLUMN = ("42P01", "42703")


class Pool:
    """Connections that several adapters share; whoever opened it closes it."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A free connection, waited for within the timeout; errors inside are translated."""
        with translated():
            async with self._pool.acquire(timeout=self._timeout_s) as acquired:
                yield acquired

    @asynccontextmanager
    async def transaction(
        self, isolation: Isolation = "read_committed", *, readonly: bool = False
    ) -> AsyncIterator[Connection]:
        """A transaction; StoreUnavailableError at its end may mean that it was committed after all."""
        async with (
            self.connection() as acquired,
            acquired.transaction(isolation=isolation, readonly=readonly),
        ):
            yield acquired

    async def renew(self) -> None:
        """Replace every connection when it is next free: a new one takes on what its role is set to now."""
        await self._pool.expire_connections()

    async def close(self) -> None:
        """Let running statements end within the timeout, then cut the rest."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


async def open_pool(dsn: str, size: int, timeout_s: float, application: str = "nearcast") -> Pool:
    """A pool of at most `size` connections; opens none, so Postgres may be down.

    `timeout_s` bounds connecting, waiting for a free connection, and each statement on both ends.
    """
    pool = await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        timeout=timeout_s,
        command_timeout=timeout_s,
        init=_never_forget,
        reset=_keep,
        server_settings={
            "application_name": application,
            "statement_timeout": str(int(timeout_s * 1000)),
            "idle_in_transaction_session_timeout": str(int(timeout_s * 2000)),
            "jit": "off",
            "timezone": "UTC",
        },
    )
    return Pool(pool, timeout_s)


def affected(status: str) -> int:
    """How many rows a statement wrote, from its status such as `INSERT 0 3`."""
    return int(status.rpartition(" ")[2])


@contextmanager
def translated() -> Iterator[None]:
    """Raise what a driver's error means to a caller, with the cause kept."""
    try:
        yield
    except asyncpg.PostgresError as error:
        raise _meaning(error) from error
    except (OverflowError, UnicodeError) as error:
        raise DataRefusedError(f"Postgres cannot store this value: {error}") from error
    except (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        if isinstance(error, ValueError):  # the driver cannot write it as the type that is asked for
            raise DataRefusedError(f"Postgres cannot store this value: {error}") from error
        raise StoreUnavailableError(f"Postgres does not answer: {_in_words(error)}") from error


def _meaning(error: asyncpg.PostgresError) -> Exception:
    state = error.sqlstate or ""
    if state.startswith(_REFUSED):
        return DataRefusedError(f"Postgres refuses this value: {error} ({state})")
    if state in _NO_SUCH_TABLE_OR_COLUMN:
        return SchemaError(f"the database has another schema: {error}; {MIGRATE}")
    # A statement that was planned before a table changed is planned anew the next time.
    if state.startswith(_UNAVAILABLE) or isinstance(error, asyncpg.InvalidCachedStatementError):
        return StoreUnavailableError(f"Postgres cannot do this now: {error} ({state})")
    return error


def arrays_of(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Rows as columns: a statement that takes many rows takes an array for each."""
    return list(zip(*rows, strict=True))


def _in_words(error: Exception) -> str:
    return str(error) or type(error).__name__


async def _never_forget(connection: Connection) -> None:
    """Whatever is set for the role, the database or later the server: what is committed here is on disk."""
    await connection.execute(
        "select set_config('synchronous_commit', case current_setting('synchronous_commit')"
        " when 'off' then 'on' else current_setting('synchronous_commit') end, false)"
    )


async def _keep(_: Connection) -> None:
    """Leave the session as it is: nothing here changes it, and the usual reset costs a round trip."""

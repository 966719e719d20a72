"""The real Postgres and Redis of the tests: those that the environment names, or embedded ones."""

import contextlib
import itertools
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import redis

from nearcast_cli.embedded import EmbeddedServers, Endpoints

# Test data need not survive a power cut, and many databases are made and dropped.
POSTGRES_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "max_wal_size": "128MB",
}
REDIS_SETTINGS = {"databases": "1024"}
MEMORY = Path("/dev/shm")
ROOM_BYTES = 1 << 30


@contextlib.contextmanager
def open_directory(*, on_disk: bool = False) -> Iterator[Path]:
    """A temporary directory that everyone may pass through: started by root, Postgres is another user."""
    place = None if on_disk else _quickest_place()
    directory = Path(tempfile.mkdtemp(prefix=f"nearcast-test-{os.getpid()}-", dir=place))
    directory.chmod(0o711)
    try:
        yield directory
    finally:
        shutil.rmtree(directory)


def _quickest_place() -> Path | None:
    """Memory where it has room, otherwise the usual place.

    A database is hundreds of files, and each test has its own: ext4 looks at all that were deleted in the
    last seconds whenever one is made, which costs ten times what making it does.
    """
    try:
        room = os.statvfs(MEMORY)
    except OSError:
        return None
    has_room = room.f_bavail * room.f_frsize >= ROOM_BYTES and os.access(MEMORY, os.W_OK)
    return MEMORY if has_room else None


@contextlib.contextmanager
def running_servers(environment: dict[str, str]) -> Iterator[Endpoints]:
    """Both servers, for as long as the session lasts."""
    with open_directory() as directory:
        servers = EmbeddedServers(
            directory / "state",
            postgres_dsn=environment.get("NEARCAST_TEST_POSTGRES_DSN"),
            redis_url=environment.get("NEARCAST_TEST_REDIS_URL"),
            postgres_settings=POSTGRES_SETTINGS,
            redis_settings=REDIS_SETTINGS,
        )
        with servers as endpoints:
            yield endpoints


def dsn_of_database(dsn: str, name: str) -> str:
    """The same server, another database."""
    parts = urlsplit(dsn)
    return f"{parts.scheme}://{parts.netloc}/{name}" + (f"?{parts.query}" if parts.query else "")


@contextlib.asynccontextmanager
async def new_database(dsn: str, template: str | None = None) -> AsyncIterator[str]:
    """The DSN of a database of our own, a clone of the template if one is named; dropped at the end."""
    name = f"nearcast_test_{os.getpid()}_{secrets.token_hex(4)}"
    clone = f'TEMPLATE "{template}"' if template else ""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" {clone}')
        try:
            yield dsn_of_database(dsn, name)
        finally:
            await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


def database_name(dsn: str) -> str:
    return urlsplit(dsn).path.lstrip("/")


def redis_databases(url: str, worker: int, workers: int) -> Iterator[str]:
    """URLs of empty logical databases, one after another; each worker has numbers of its own."""
    with contextlib.closing(redis.Redis.from_url(url, protocol=2)) as client:
        count = int(client.config_get("databases")["databases"] or 16)
    for number in itertools.cycle(range(worker % count, count, workers)):
        numbered = _with_database_number(url, number)
        with contextlib.closing(redis.Redis.from_url(numbered, protocol=2)) as client:
            client.flushdb()
        yield numbered


def _with_database_number(url: str, number: int) -> str:
    parts = urlsplit(url)
    if parts.scheme != "unix":
        return urlunsplit(parts._replace(path=f"/{number}"))
    query = urlencode({**dict(parse_qsl(parts.query)), "db": str(number)})
    return f"unix://{parts.path}?{query}"

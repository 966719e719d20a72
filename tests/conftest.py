"""What every test may ask for. A test that needs a server says so by the fixture it takes."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from nearcast_cli.embedded import Endpoints
from tests.leftovers import MARK, processes_left, wait_until_gone
from tests.order import turn_of
from tests.services import database_name, new_database, open_directory, redis_databases, running_servers

# Started in the background by a shell, we ignore Ctrl-C, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run, and as long for each as a busy machine needs; --hypothesis-profile=exploring
# draws others.
hypothesis.settings.register_profile("exploring", deadline=None)
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.load_profile("steady")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order in which they are best begun; the tests of a file stay as they are."""
    items.sort(key=lambda item: turn_of(item.path))


@dataclass(slots=True)
class FixedClock:
    """Seconds since the Unix epoch that pass only when a test says so."""

    now_s: float = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests see none of the developer's NEARCAST_… settings."""
    for name in [name for name in os.environ if name.startswith("NEARCAST_") and name != MARK]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _nothing_outlives_the_tests() -> Iterator[None]:
    """Asked for first, so checked last: no process that the tests started may be left."""
    os.environ[MARK] = str(os.getpid())
    yield
    left = wait_until_gone(processes_left)
    assert not left, "still running after the tests:\n" + "\n".join(left)


@pytest.fixture(scope="session")
def servers() -> Iterator[Endpoints]:
    """Real Postgres and Redis, once per session and worker."""
    with running_servers(dict(os.environ)) as endpoints:
        yield endpoints


@pytest.fixture(scope="session")
def postgres_server(servers: Endpoints) -> str:
    """The DSN of the server's own database: for making others, not for tables."""
    return servers.postgres_dsn


@pytest.fixture(scope="session")
async def migrated_template(postgres_server: str) -> AsyncIterator[str]:
    """The name of a database with the whole schema and no rows. Clone it by taking `database`."""
    from nearcast_store.migration import migrate

    async with new_database(postgres_server) as dsn:
        await migrate(dsn)
        yield database_name(dsn)


@pytest.fixture
async def database(postgres_server: str, migrated_template: str) -> AsyncIterator[str]:
    """The DSN of a migrated database that this test alone uses."""
    async with new_database(postgres_server, migrated_template) as dsn:
        yield dsn


@pytest.fixture
async def empty_database(postgres_server: str) -> AsyncIterator[str]:
    """The DSN of a database without any schema."""
    async with new_database(postgres_server) as dsn:
        yield dsn


@pytest.fixture(scope="session")
def _redis_databases(servers: Endpoints) -> Iterator[str]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return redis_databases(
        servers.redis_url, int(worker), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    )


@pytest.fixture
def redis_url(_redis_databases: Iterator[str]) -> str:
    """The URL of an empty logical database that this test alone uses."""
    return next(_redis_databases)


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A place for a state directory that does not exist yet, outside the tests' private directories."""
    with open_directory() as directory:
        yield directory / "state"

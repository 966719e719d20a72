"""The shared connection to Redis: replies belong to who asked, whatever is cancelled, cut or late."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

import pytest

from nearcast_store.connection import RedisConnection, RedisDownError, RedisReplyError
from nearcast_store.redis_address import RedisAddress, parse_address

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def connection(redis_url: str) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(redis_url)
    yield connection
    await connection.close()


@contextlib.asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    """A TCP server of our own on a free port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


class Proxy:
    """Between a client and Redis: passes bytes on late and in odd pieces, can hang up or fall silent."""

    def __init__(self, redis_url: str, rng: random.Random, longest_delay_s: float) -> None:
        self._url = redis_url
        self._rng = rng
        self._longest_delay_s = longest_delay_s
        self._clients: list[asyncio.StreamWriter] = []
        self.silent = False
        self.accepted = 0
        self._commands = b""
        self._heard = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._clients.append(writer)
        parts = urlsplit(self._url)
        if parts.scheme == "unix":
            upstream, upstream_writer = await asyncio.open_unix_connection(parts.path)
        else:
            upstream, upstream_writer = await asyncio.open_connection(parts.hostname, parts.port or 6379)
        back = asyncio.create_task(self._pass_on(upstream, writer))
        try:
            while data := await reader.read(65536):
                self._commands += data
                self._heard.set()
                upstream_writer.write(data)
        finally:
            upstream_writer.close()
            await asyncio.wait([back])

    async def _pass_on(self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await upstream.read(self._rng.choice([1, 7, 100, 4096, 65536])):
            if self._longest_delay_s and self._rng.random() < 0.2:
                await asyncio.sleep(self._rng.uniform(0.0, self._longest_delay_s))
            if not self.silent and not writer.is_closing():
                writer.write(data)

    async def hears(self, command: bytes) -> None:
        """Return once this was sent to Redis."""
        async with asyncio.timeout(20):
            while command not in self._commands:
                self._heard.clear()
                await self._heard.wait()

    def hang_up(self) -> None:
        for client in self._clients:
            client.transport.abort()
        self._clients.clear()


@contextlib.asynccontextmanager
async def through_proxy(
    redis_url: str, *, longest_delay_s: float = 0.0, command_timeout_s: float = 5.0
) -> AsyncIterator[tuple[Proxy, RedisConnection]]:
    proxy = Proxy(redis_url, random.Random(5), longest_delay_s)
    address = parse_address(redis_url)
    async with serving(proxy.serve) as port:
        url = f"redis://127.0.0.1:{port}/{address.db}"
        connection = RedisConnection(url, command_timeout_s=command_timeout_s)
        try:
            yield proxy, connection
        finally:
            await connection.close()


async def test_replies_are_of_redis_types(connection: RedisConnection) -> None:
    assert await connection.execute("SET", "a", b"\x00\xff") == b"OK"
    assert await connection.execute("GET", "a") == b"\x00\xff"
    assert await connection.execute("GET", "none") is None
    assert await connection.execute("INCRBY", "n", 41) == 41
    assert await connection.execute("INCRBYFLOAT", "f", 0.5) == b"0.5"
    assert await connection.execute("MGET", "a", "none") == [b"\x00\xff", None]
    assert await connection.execute("KEYS", "nothing*") == []


async def test_an_error_reply_is_raised_and_spoils_nothing_else(connection: RedisConnection) -> None:
    await connection.execute("SET", "a", "text")
    with pytest.raises(RedisReplyError, match="not an integer"):
        await connection.pipeline([("INCR", "n"), ("INCR", "a"), ("INCR", "n")])
    first, error, last = await connection.exchange([("INCR", "n"), ("INCR", "a"), ("INCR", "n")])
    assert (first, last) == (3, 4)
    assert isinstance(error, RedisReplyError)


async def test_a_pipeline_of_nothing_is_answered_with_nothing(connection: RedisConnection) -> None:
    assert await connection.pipeline([]) == []


async def test_errors_within_a_transaction_stay_in_their_place(connection: RedisConnection) -> None:
    commands = [("MULTI",), ("SET", "a", "x"), ("INCR", "a"), ("GET", "a"), ("EXEC",)]
    *_, (done, error, read) = await connection.exchange(commands)
    assert (done, read) == (b"OK", b"x")
    assert isinstance(error, RedisReplyError)


async def test_what_is_asked_in_one_turn_is_written_in_one_go(connection: RedisConnection) -> None:
    before = await reads(connection)
    await asyncio.gather(*[connection.execute("ECHO", str(n)) for n in range(500)])
    assert await reads(connection) - before <= 3


async def reads(connection: RedisConnection) -> int:
    """How often Redis has read from a socket."""
    stats: bytes = await connection.execute("INFO", "stats")
    return int(stats.partition(b"total_reads_processed:")[2].split()[0])


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_cancelled_callers_never_shift_replies(redis_url: str, seed: int) -> None:
    """3,000 commands of many shapes; half of the callers give up at a random moment."""
    rng = random.Random(seed)
    wrong: list[tuple[object, object]] = []
    cancelled = 0

    async def ask(connection: RedisConnection, n: int) -> None:
        shape = rng.randrange(4)
        text = f"{n}-" + "x" * rng.choice([0, 10, 5000])
        got: object
        expected: object
        if shape == 0:
            got, expected = await connection.execute("ECHO", text), text.encode()
        elif shape == 1:
            got = await connection.pipeline([("ECHO", f"{n}.{part}") for part in range(5)])
            expected = [f"{n}.{part}".encode() for part in range(5)]
        elif shape == 2:
            (error,) = await connection.exchange([("NOSUCHCOMMAND", text)])
            got, expected = text[:20] in str(error), True
        else:
            got = await connection.execute("EVAL", "return {ARGV[1], {tonumber(ARGV[1])}}", 0, n)
            expected = [str(n).encode(), [n]]
        if got != expected:
            wrong.append((got, expected))

    async def give_up(task: asyncio.Task[None]) -> bool:
        for _ in range(rng.randrange(12)):
            await asyncio.sleep(0)
        return task.cancel()

    async with through_proxy(redis_url, longest_delay_s=0.003) as (proxy, connection):
        for start in range(0, 3000, 100):
            tasks = [asyncio.create_task(ask(connection, n)) for n in range(start, start + 100)]
            cancelled += sum(await asyncio.gather(*[give_up(task) for task in rng.sample(tasks, 50)]))
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(result is None or isinstance(result, asyncio.CancelledError) for result in results)
        assert wrong == []
        assert cancelled > 700
        assert proxy.accepted == 1


async def test_a_command_is_never_sent_twice(redis_url: str) -> None:
    async with through_proxy(redis_url) as (proxy, connection):
        await connection.execute("PING")
        proxy.silent = True
        waiting = asyncio.create_task(connection.execute("INCR", "once"))
        await proxy.hears(b"once")
        proxy.hang_up()
        with pytest.raises(RedisDownError):
            await waiting
        proxy.silent = False
        assert await connection.execute("GET", "once") == b"1"
        assert connection.generation == 2


async def test_without_a_reply_in_time_the_connection_is_given_up(redis_url: str) -> None:
    async with through_proxy(redis_url, command_timeout_s=0.1) as (proxy, connection):
        await connection.execute("PING")
        proxy.silent = True
        asked = time.monotonic()
        both = await asyncio.gather(
            connection.execute("PING"), connection.execute("PING"), return_exceptions=True
        )
        assert all(isinstance(error, RedisDownError) and "no reply" in str(error) for error in both)
        assert 0.1 <= time.monotonic() - asked < 10.0
        proxy.silent = False
        assert await connection.execute("PING") == b"PONG"


async def test_a_late_loop_does_not_count_against_redis(connection: RedisConnection) -> None:
    """The reply lies in the socket while something else holds the loop for longer than the timeout."""
    connection = RedisConnection(str(connection._address), command_timeout_s=0.05)
    await connection.execute("PING")
    waiting = asyncio.create_task(connection.execute("PING"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    ends = time.monotonic() + 0.2
    while time.monotonic() < ends:
        pass
    assert await waiting == b"PONG"
    await connection.close()


async def test_a_reply_that_is_none_closes_the_connection() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"+PONG\r\n!what?\r\n")
        await reader.read(100)

    async with serving(babble) as port:
        connection = RedisConnection(f"redis://127.0.0.1:{port}")
        first, second = await asyncio.gather(
            connection.execute("PING"), connection.execute("PING"), return_exceptions=True
        )
        assert first == b"PONG"
        assert isinstance(second, RedisDownError)
        await connection.close()


async def test_replies_that_nobody_asked_for_close_the_connection() -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"+PONG\r\n+AND\r\n+MORE\r\n")
        await reader.read(100)

    async with serving(chatter) as port:
        connection = RedisConnection(f"redis://127.0.0.1:{port}")
        assert await connection.execute("PING") == b"PONG"
        assert await connection.execute("PING") == b"PONG"
        assert connection.generation == 2
        await connection.close()


async def test_while_redis_is_down_callers_fail_at_once(tmp_path: object) -> None:
    connection = RedisConnection(f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(RedisDownError, match="cannot be used"):
        await connection.execute("PING")
    with pytest.raises(RedisDownError, match="next attempt"):
        await connection.execute("PING")
    await connection.close()


async def test_a_caller_that_gives_up_does_not_end_the_others_attempt_to_connect(redis_url: str) -> None:
    connection = RedisConnection(redis_url)
    first = asyncio.create_task(connection.execute("PING"))
    second = asyncio.create_task(connection.execute("PING"))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == b"PONG"
    assert connection.generation == 1
    await connection.close()


async def test_too_many_that_wait_are_refused(redis_url: str) -> None:
    connection = RedisConnection(redis_url, most_waiting=3)
    await connection.execute("PING")
    asked = [connection.execute("PING") for _ in range(5)]
    results = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(result, RedisDownError) for result in results] == [False] * 3 + [True] * 2
    await connection.close()


async def test_after_closing_nothing_is_answered(redis_url: str) -> None:
    connection = RedisConnection(redis_url)
    await connection.execute("PING")
    waiting = asyncio.create_task(connection.execute("BLPOP", "nothing", 0))
    await asyncio.sleep(0)
    await connection.close()
    with pytest.raises(RedisDownError):
        await waiting
    with pytest.raises(RedisDownError, match="closed"):
        await connection.execute("PING")


async def test_a_connection_that_was_never_used_closes(redis_url: str) -> None:
    await RedisConnection(redis_url).close()


async def test_each_logical_database_is_its_own(redis_url: str, connection: RedisConnection) -> None:
    await connection.execute("SET", "here", "1")
    address = parse_address(redis_url)
    listed = await connection.execute("CLIENT", "LIST")
    assert f"db={address.db} ".encode() in listed


async def test_a_wrong_password_is_said_without_the_password() -> None:
    async def deny(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"AUTH\r\n$3\r\nbob\r\n$6\r\ns@cret" in await reader.read(100)
        writer.write(b"-WRONGPASS invalid username-password pair\r\n+OK\r\n")
        await reader.read(100)

    async with serving(deny) as port:
        connection = RedisConnection(f"redis://bob:s%40cret@127.0.0.1:{port}/3")
        with pytest.raises(RedisDownError, match="WRONGPASS") as raised:
            await connection.execute("PING")
        assert "cret" not in str(raised.value)
        await connection.close()


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://localhost", RedisAddress("localhost", 6379)),
        ("redis://10.0.0.1:7000/2", RedisAddress("10.0.0.1", 7000, db=2)),
        ("redis://:pass@host", RedisAddress("host", password="pass")),
        ("redis://bob:p%2Fw@host:1/0", RedisAddress("host", 1, username="bob", password="p/w")),
        ("unix:///run/redis.sock", RedisAddress(path="/run/redis.sock")),
        ("unix://:pw@/run/redis.sock?db=4", RedisAddress(path="/run/redis.sock", db=4, password="pw")),
    ],
)
def test_urls_are_read(url: str, address: RedisAddress) -> None:
    assert parse_address(url) == address
    assert "pw" not in repr(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        "rediss://host",
        "redis://",
        "unix://",
        "redis://h/x",
        "redis://h:99999",
        "redis://h:x",
    ],
)
def test_urls_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="Redis URL must be"):
        parse_address(url)

"""What lies between a process and its servers, so that a test can cut it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

_CHUNK = 65_536


class Cable:
    """Forwards connections from a local port to a server; can be cut, held still, and mended."""

    def __init__(self, connect: Callable[[], "asyncio.Future[_Streams]"]) -> None:
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.held = asyncio.Event()
        self.port = 0

    async def mend(self) -> None:
        """Let everything through, from now on."""
        self._flowing.set()
        self.held.clear()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def hold(self) -> None:
        """Keep connections open and let nothing through; `held` is set when somebody has tried."""
        self.held.clear()
        self._flowing.clear()

    async def cut(self) -> None:
        """Drop every connection and accept none."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for end in list(self._ends):
            end.transport.abort()
        self._flowing.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._ends.add(writer)
        try:
            their_reader, their_writer = await self._connect()
            self._ends.add(their_writer)
            await asyncio.gather(self._carry(reader, their_writer), self._carry(their_reader, writer))
        except OSError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            self._ends = {end for end in self._ends if not end.is_closing()}

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while carried := await reader.read(_CHUNK):
                if not self._flowing.is_set():
                    self.held.set()
                    await self._flowing.wait()
                writer.write(carried)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def laid(url: str) -> AsyncIterator[tuple[Cable, str]]:
    """A cable to the server of this DSN or Redis URL, and the URL that goes through it."""
    cable = Cable(lambda: asyncio.ensure_future(_open(url)))
    await cable.mend()
    try:
        yield cable, _through(url, cable.port)
    finally:
        await cable.cut()


async def _open(url: str) -> _Streams:
    parts = urlsplit(url)
    asked = parse_qs(parts.query)
    if parts.scheme == "unix":
        return await asyncio.open_unix_connection(parts.path)
    host, default = parts.hostname or asked.get("host", [""])[0], 6379 if parts.scheme == "redis" else 5432
    port = parts.port or int(asked.get("port", [str(default)])[0])
    if host.startswith("/"):
        return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    return await asyncio.open_connection(host, port)


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    login = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    if parts.scheme == "unix":
        return f"redis://{login}127.0.0.1:{port}/{parse_qs(parts.query).get('db', ['0'])[0]}"
    tail = "?sslmode=disable" if parts.scheme.startswith("postgres") else ""
    return f"{parts.scheme}://{login}127.0.0.1:{port}{parts.path}{tail}"

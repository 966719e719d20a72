"""A line to a server that a test can cut and mend."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit


@dataclass(slots=True)
class Line:
    """A unix socket that leads to `upstream` while it is whole: a socket's path, or host and port."""

    path: Path
    upstream: str | tuple[str, int]
    _server: asyncio.Server | None = None
    _ends: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def mend(self) -> None:
        """Lead there from now on."""
        self.path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._lead, self.path)

    async def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            if isinstance(self.upstream, str):
                far_reader, far_writer = await asyncio.open_unix_connection(self.upstream)
            else:
                far_reader, far_writer = await asyncio.open_connection(*self.upstream)
            ends = {writer, far_writer}
            self._ends |= ends
            await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))
            self._ends -= ends
        finally:
            self._tasks.discard(task)


async def _carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
    sink.close()


def postgres_line(dsn: str, directory: Path) -> tuple[str, Line]:
    """A DSN that leads to the same database over a line in that directory, and the line; not mended yet."""
    parts = urlsplit(dsn)
    settings = parse_qs(parts.query)
    port = parts.port or int(settings.get("port", ["5432"])[0])
    host = parts.hostname or settings["host"][0]
    upstream: str | tuple[str, int] = (host, port)
    if host.startswith("/"):
        upstream = f"{host}/.s.PGSQL.{port}"
    user = f"{parts.username or 'postgres'}:{parts.password or ''}"
    line = Line(directory / ".s.PGSQL.5432", upstream)
    return f"postgresql://{user}@{parts.path}?host={quote(str(directory), safe='')}", line


def redis_line(url: str, directory: Path) -> tuple[str, Line]:
    """A URL that leads to the same database over a line in that directory, and the line; not mended yet."""
    parts = urlsplit(url)
    line_path = directory / "redis.sock"
    if parts.scheme == "unix":
        return f"unix://{line_path}?{parts.query}", Line(line_path, parts.path)
    upstream = (parts.hostname or "localhost", parts.port or 6379)
    return f"unix://{line_path}?db={parts.path.strip('/') or 0}", Line(line_path, upstream)

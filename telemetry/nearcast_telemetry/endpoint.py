"""A small HTTP server for whoever watches the process: /metrics, /healthz and /readyz."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

TEXT = "text/plain; charset=utf-8"
METRICS_TEXT = "text/plain; version=0.0.4; charset=utf-8"
MOST_HEAD_BYTES = 8192
MOST_CONNECTIONS = 64


class EndpointError(Exception):
    """The endpoint cannot listen where it was told to."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One response; there is one per connection."""

    status: HTTPStatus
    body: bytes
    content_type: str = TEXT

    @classmethod
    def plain(cls, status: HTTPStatus, text: str = "") -> Self:
        """A line of text, the status's own words when none is given."""
        return cls(status, f"{text or status.phrase}\n".encode())


class Endpoint:
    """Answers GET and HEAD.

    `ready` gives None when the process is ready, otherwise what is missing; `note` is said with either, ""
    when there is nothing to say; `setting` is the key of the port.
    `alarm` gives what is wrong although the process is ready, and is told with it.
    `look`, where there is one, is awaited before each answer: the others then say what it saw.
    """

    def __init__(
        self,
        metrics: Callable[[], bytes],
        ready: Callable[[], str | None],
        *,
        setting: str,
        note: Callable[[], str] = str,
        read_timeout_s: float = 5.0,
        look: Callable[[], Awaitable[None]] | None = None,
        alarm: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._metrics = metrics
        self._ready = ready
        self._setting = setting
        self._note = note
        self._read_timeout_s = read_timeout_s
        self._look = look
        self._alarm = alarm
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listen; the port, also when 0 asked for any free one."""
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=MOST_HEAD_BYTES)
        except OSError as error:
            raise EndpointError(self._explain(error, host, port)) from error
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Listen no more and drop what is still open."""
        if self._server is None:
            return
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def _explain(self, error: OSError, host: str, port: int) -> str:
        if error.errno == errno.EADDRINUSE:
            return (
                f"port {port} on {host} is in use; stop what listens there or set {self._setting} to another"
            )
        return (
            f"cannot listen on {host} port {port} ({error.strerror});"
            f" set {self._setting} to a port that this user may use"
        )

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if len(self._connections) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        self._connections.add(task)
        try:
            # Whoever reads as slowly as it wrote has this long and no longer.
            async with asyncio.timeout(2 * self._read_timeout_s):
                await self._exchange(reader, writer)
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._connections.discard(task)

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._read_timeout_s):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return
        except TimeoutError:
            method, answer = "GET", Answer.plain(HTTPStatus.REQUEST_TIMEOUT)
        except asyncio.LimitOverrunError:
            method, answer = "GET", Answer.plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        else:
            if self._look is not None:
                await self._look()
            method, answer = self._answer(head)
        writer.write(_encoded(answer, with_body=method != "HEAD"))
        await writer.drain()

    def _answer(self, head: bytes) -> tuple[str, Answer]:
        """The method asked with and the answer; the rest of the head does not matter."""
        match head.split(b"\r\n", 1)[0].decode("latin-1").split(" "):
            case [method, target, "HTTP/1.0" | "HTTP/1.1"] if target.startswith("/"):
                if method not in {"GET", "HEAD"}:
                    return method, Answer.plain(HTTPStatus.METHOD_NOT_ALLOWED)
                return method, self._known(target.partition("?")[0])
            case _:
                return "GET", Answer.plain(HTTPStatus.BAD_REQUEST)

    def _known(self, path: str) -> Answer:
        match path:
            case "/metrics":
                return Answer(HTTPStatus.OK, self._metrics(), METRICS_TEXT)
            case "/healthz":
                return Answer.plain(HTTPStatus.OK, "alive")
            case "/readyz":
                missing, note = self._ready(), self._note()
                aside = f"; {note}" if note else ""
                if missing is None:
                    alarm = self._alarm()
                    told = f"ready, but: {alarm}" if alarm else "ready"
                    return Answer.plain(HTTPStatus.OK, f"{told}{aside}")
                return Answer.plain(HTTPStatus.SERVICE_UNAVAILABLE, f"not ready: {missing}{aside}")
            case _:
                return Answer.plain(HTTPStatus.NOT_FOUND, "there are /metrics, /healthz and /readyz")


def _encoded(answer: Answer, *, with_body: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Connection: close",
    ]
    if answer.status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    head = "\r\n".join([*lines, "", ""]).encode()
    return head + answer.body if with_body else head

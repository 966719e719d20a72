"""The HTTP endpoint, spoken to over real sockets."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from nearcast_telemetry.endpoint import MOST_CONNECTIONS, MOST_HEAD_BYTES, Endpoint, EndpointError


class Readiness:
    """Says what it was told to."""

    def __init__(self) -> None:
        self.missing: str | None = None

    def __call__(self) -> str | None:
        return self.missing


@pytest.fixture
def readiness() -> Readiness:
    """Ready until told otherwise."""
    return Readiness()


@pytest.fixture
async def port(readiness: Readiness) -> AsyncIterator[int]:
    """A running endpoint that waits 0.2 s for a request."""
    endpoint = Endpoint(lambda: b"things 1\n", readiness, setting="keeper.metrics_port", read_timeout_s=0.2)
    yield await endpoint.start("127.0.0.1", 0)
    await endpoint.close()


async def test_what_is_worth_a_note_is_said_whether_ready_or_not(readiness: Readiness) -> None:
    notes = ["slow", "slow", ""]
    endpoint = Endpoint(lambda: b"", readiness, setting="x", note=lambda: notes.pop(0))
    port = await endpoint.start("127.0.0.1", 0)
    try:
        assert (await ask(port, b"GET /readyz HTTP/1.1\r\n\r\n"))[1] == b"ready; slow\n"
        readiness.missing = "everything"
        assert (await ask(port, b"GET /readyz HTTP/1.1\r\n\r\n"))[1] == b"not ready: everything; slow\n"
        assert (await ask(port, b"GET /readyz HTTP/1.1\r\n\r\n"))[1] == b"not ready: everything\n"
    finally:
        await endpoint.close()


async def ask(port: int, raw: bytes) -> tuple[str, bytes]:
    """The status line and the body of the answer to these bytes; empty when there is none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(raw)
    try:
        answer = await asyncio.wait_for(reader.read(), 20)
    except ConnectionResetError:
        answer = b""
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0].decode(), body


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        ("GET /metrics HTTP/1.1", "HTTP/1.1 200 OK", b"things 1\n"),
        ("GET /metrics?name=x HTTP/1.0", "HTTP/1.1 200 OK", b"things 1\n"),
        ("HEAD /metrics HTTP/1.1", "HTTP/1.1 200 OK", b""),
        ("GET /healthz HTTP/1.1", "HTTP/1.1 200 OK", b"alive\n"),
        ("GET /readyz HTTP/1.1", "HTTP/1.1 200 OK", b"ready\n"),
        ("GET / HTTP/1.1", "HTTP/1.1 404 Not Found", b"there are /metrics, /healthz and /readyz\n"),
        ("POST /metrics HTTP/1.1", "HTTP/1.1 405 Method Not Allowed", b"Method Not Allowed\n"),
        ("GET /metrics", "HTTP/1.1 400 Bad Request", b"Bad Request\n"),
        ("GET metrics HTTP/1.1", "HTTP/1.1 400 Bad Request", b"Bad Request\n"),
        ("\x16\x03\x01", "HTTP/1.1 400 Bad Request", b"Bad Request\n"),
    ],
)
async def test_a_request_gets_its_answer(port: int, request_line: str, status: str, body: bytes) -> None:
    assert await ask(port, f"{request_line}\r\nHost: here\r\n\r\n".encode()) == (status, body)


async def test_readyz_says_what_is_missing(port: int, readiness: Readiness) -> None:
    readiness.missing = "postgres"
    status, body = await ask(port, b"GET /readyz HTTP/1.1\r\n\r\n")
    assert (status, body) == ("HTTP/1.1 503 Service Unavailable", b"not ready: postgres\n")


async def test_who_looks_first_answers_with_what_was_seen() -> None:
    seen: list[bytes] = []

    async def look() -> None:
        seen.append(b"x")

    endpoint = Endpoint(lambda: b"".join(seen), lambda: None, setting="gateway.metrics_port", look=look)
    port = await endpoint.start("127.0.0.1", 0)
    for count in (1, 2):
        assert (await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n"))[1] == b"x" * count
    await endpoint.close()


async def test_a_head_without_end_is_refused(port: int) -> None:
    status, _ = await ask(port, b"GET / HTTP/1.1\r\n" + b"a" * (MOST_HEAD_BYTES + 1))
    assert status in {"HTTP/1.1 431 Request Header Fields Too Large", ""}  # unread bytes may reset first


async def test_who_says_nothing_is_not_waited_for(port: int) -> None:
    assert (await ask(port, b"GET /metr"))[0] == "HTTP/1.1 408 Request Timeout"


async def test_connections_beyond_the_limit_are_dropped_and_the_rest_served() -> None:
    endpoint = Endpoint(lambda: b"", lambda: None, setting="keeper.metrics_port", read_timeout_s=60)
    port = await endpoint.start("127.0.0.1", 0)
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS)]
    assert await ask(port, b"GET /healthz HTTP/1.1\r\n\r\n") == ("", b"")
    reader, writer = held[0]
    writer.write(b"GET /healthz HTTP/1.1\r\n\r\n")
    assert (await asyncio.wait_for(reader.read(), 20)).endswith(b"alive\n")
    for _, each in held:
        each.close()
    await endpoint.close()


async def test_a_port_in_use_is_named_with_its_setting(port: int) -> None:
    second = Endpoint(lambda: b"", lambda: None, setting="keeper.metrics_port")
    with pytest.raises(EndpointError, match=rf"port {port} .*in use.*keeper\.metrics_port"):
        await second.start("127.0.0.1", port)


async def test_close_does_not_wait_for_a_silent_client(readiness: Readiness) -> None:
    endpoint = Endpoint(lambda: b"", readiness, setting="keeper.metrics_port", read_timeout_s=60)
    port = await endpoint.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.wait_for(endpoint.close(), 20)
    with pytest.raises(OSError):  # noqa: PT011 - refused, reset or unreachable, by system
        await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    assert reader is not None

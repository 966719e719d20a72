"""Where events come in: asked by every call and stream, set by whoever watches the log."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from nearcast_server.admission import Level, Standing, retry_after_s
from nearcast_server.errors import UnavailableError
from nearcast_telemetry.admissionmetrics import SERVER_ADMISSION_REFUSED
from nearcast_telemetry.metrics import Metrics

_TOLD = {
    "backlog": "what was taken before waits too long to be counted",
    "memory": "the event log is nearly full",
    "append": "the event log is slow",
    "calls": "too many event calls and streams are in flight",
    "tenant_calls": "too many event calls and streams of this tenant are in flight",
}


class Gate:
    """One for each process. `most_calls` event calls and streams pass at a time, so that others always do.

    One tenant has `most_of_one()` of them, so that other tenants' events always pass too. `chance` gives
    numbers in [0, 1). A stream waits `patience_s` before it is sent away.
    """

    def __init__(
        self,
        most_calls: int,
        patience_s: float,
        metrics: Metrics,
        chance: Callable[[], float],
        most_of_one: Callable[[], int],
    ) -> None:
        self._most_calls = most_calls
        self._metrics = metrics
        self._chance = chance
        self._most_of_one = most_of_one
        self._calls: Counter[int] = Counter()
        self._opened: asyncio.Future[None] | None = None
        self._begun_at: dict[object, float] = {}
        self._slowest_s = 0.0
        self.patience_s = patience_s
        self.standing = Standing()

    @property
    def closed(self) -> bool:
        """Whether nothing is taken now."""
        return self.standing.level is Level.CLOSED

    @property
    def opened(self) -> asyncio.Future[None]:
        """Done when the gate is not closed."""
        if self._opened is None:
            self._opened = asyncio.get_running_loop().create_future()
            if not self.closed:
                self._opened.set_result(None)
        return self._opened

    def told(self) -> str:
        """How it stands, in words for operators; "" while everything is taken."""
        return self.standing.told()

    def set(self, standing: Standing) -> None:
        """How it stands from now on; whoever waits goes on when it opens."""
        was_closed, self.standing = self.closed, standing
        if self.closed and not was_closed:
            self._opened = None
        elif not self.closed and self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    def window(self, most: int) -> int:
        """How many batches of a stream may be under way: fewer as the log is pressed."""
        return max(1, most if self.standing.level is Level.OPEN else int(most * (1 - self.standing.pressure)))

    @contextmanager
    def call(self, tenant_id: int) -> Iterator[None]:
        """A RecordEvents call. Raises UnavailableError when it cannot be taken now."""
        if self.closed:
            raise self.pushback("call")
        with self._counted("call", tenant_id):
            yield

    @contextmanager
    def stream(self, tenant_id: int) -> Iterator[None]:
        """A StreamEvents stream, which itself waits while the gate is closed. Raises UnavailableError."""
        with self._counted("stream", tenant_id):
            yield

    @contextmanager
    def append(self) -> Iterator[None]:
        """Events on their way into the log: how long that takes is one of the readings."""
        mark, begun_at = object(), perf_counter()
        self._begun_at[mark] = begun_at
        try:
            yield
        finally:
            del self._begun_at[mark]
            self._slowest_s = max(self._slowest_s, perf_counter() - begun_at)

    def slowest_append_s(self) -> float:
        """The longest since this was last asked, or under way now."""
        slowest_s, self._slowest_s = self._slowest_s, 0.0
        oldest_at = next(iter(self._begun_at.values()), None)
        return slowest_s if oldest_at is None else max(slowest_s, perf_counter() - oldest_at)

    def pushback(self, refused: str, cause: str = "") -> UnavailableError:
        """What whoever is sent away is told: nothing of it was taken."""
        cause = cause or self.standing.cause
        self._metrics.add(SERVER_ADMISSION_REFUSED, 1, refused, cause)
        return UnavailableError(
            "INGEST_OVERLOADED",
            f"{_TOLD.get(cause, _TOLD['backlog'])}; nothing of this was taken, send the same again later",
            metadata={"cause": cause, "advised_events": str(self.standing.advised_events)},
            retry_after_s=retry_after_s(self.standing.pressure, self._chance()),
        )

    @contextmanager
    def _counted(self, what: str, tenant_id: int) -> Iterator[None]:
        if self._calls.total() >= self._most_calls:
            raise self.pushback(what, "calls")
        if self._calls[tenant_id] >= self._most_of_one():
            raise self.pushback(what, "tenant_calls")
        self._calls[tenant_id] += 1
        try:
            yield
        finally:
            self._calls[tenant_id] -= 1
            if not self._calls[tenant_id]:
                del self._calls[tenant_id]

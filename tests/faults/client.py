"""A client as it should be: sends what happened until it is acknowledged, and keeps a journal."""

import asyncio
from collections import deque
from collections.abc import Sequence
from random import Random

import grpc

from nearcast.v1 import event_pb2, event_pb2_grpc, location_pb2, recommend_pb2, recommend_pb2_grpc
from nearcast.v1.error_reason_pb2 import ErrorReason
from tests.faults.journal import Batch, Intent, Journal, read
from tests.faults.traffic import Shown, Traffic
from tests.faults.waiting import rest

HERE = location_pb2.LatLng(latitude=59.91, longitude=10.75)
DEADLINE_S = 1.0
SLATES_KEPT = 50
TAKEN_UP = 10
CHANNEL = (
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)


class Line:
    """The way to one gateway; `in_flight` is how many batches it was sent and has not answered.

    `deadline_s` is None for a patient one; a gateway whose clock is wrong would misjudge any other.
    """

    def __init__(self, address: str, key: str, deadline_s: float | None = DEADLINE_S) -> None:
        self._deadline_s = deadline_s
        self.in_flight = 0
        self._metadata = (("authorization", f"Bearer {key}"),)
        self._channel = grpc.aio.insecure_channel(address, options=CHANNEL)
        self._events = event_pb2_grpc.EventServiceStub(self._channel)
        self._recommend = recommend_pb2_grpc.RecommendServiceStub(self._channel)

    async def record(self, events: Sequence[event_pb2.Event]) -> event_pb2.RecordEventsResponse:
        request = event_pb2.RecordEventsRequest(events=events)
        self.in_flight += 1
        try:
            return await self._events.RecordEvents(request, timeout=self._deadline_s, metadata=self._metadata)
        finally:
            self.in_flight -= 1

    async def recommend(self, limit: int, session_id: str = "") -> recommend_pb2.RecommendResponse:
        request = recommend_pb2.RecommendRequest(
            location=HERE, limit=limit, explain=True, session_id=session_id
        )
        return await self._recommend.Recommend(request, timeout=self._deadline_s, metadata=self._metadata)

    async def slate(self, limit: int, session_id: str = "") -> list[Shown]:
        """What is shown here and now."""
        answer = await self.recommend(limit, session_id)
        return [
            Shown(
                answer.request_id,
                item.item_id,
                item.explanation.posting,
                item.reward_token,
                answer.feed,
                answer.feed_propensity,
            )
            for item in answer.items
        ]

    async def busy(self) -> int:
        """For who waits until something is in flight."""
        return self.in_flight

    async def close(self) -> None:
        await self._channel.close()


class Client:
    """Sends over any of its lines; `unanswered` is how many times it was left without an answer."""

    def __init__(self, lines: Sequence[Line], journal: Journal, random: Random) -> None:
        self.lines = lines
        self._journal = journal
        self._random = random
        self._slates: deque[list[Shown]] = deque(maxlen=SLATES_KEPT)
        self._workers: list[asyncio.Task[None]] = []
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._busy = 0
        self.traffic = Traffic(random)
        self.unanswered = 0
        self.acked: list[Batch] = []
        self.violations: list[str] = []

    @property
    def in_flight(self) -> int:
        """Batches that were sent and are not answered yet."""
        return sum(line.in_flight for line in self.lines)

    async def busy(self) -> int:
        """For who waits until something is in flight."""
        return self.in_flight

    async def record(self, events: Sequence[Intent], line: Line | None = None) -> Batch:
        """One new batch, until it is acknowledged."""
        batch = self._journal.intend(events)
        await self.record_again(batch, line)
        return batch

    async def record_again(self, batch: Batch, line: Line | None = None) -> None:
        """The same batch, until it is acknowledged."""
        async with asyncio.timeout(30.0):
            while not await self.attempt(batch, line):
                await rest(0.05)

    async def attempt(self, batch: Batch, line: Line | None = None) -> bool:
        """Send it once; whether it is acknowledged."""
        self._journal.sent(batch)
        events = [self.traffic.resent(intent) for intent in batch.events]
        try:
            answer = await (line or self._random.choice(self.lines)).record(events)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise
            self.unanswered += 1
            return False
        self._note(batch, answer)
        return True

    async def answered(self) -> int:
        """For who waits until so many batches were acknowledged."""
        return len(self.acked)

    def begin(self, workers: int) -> None:
        """Let so many people live at once."""
        self._workers = [asyncio.create_task(self._live(number)) for number in range(workers)]

    async def pause(self) -> None:
        """Begin nothing new; return when nothing is under way."""
        self._flowing.clear()
        async with asyncio.timeout(30.0):
            while self._busy:
                await rest(0.01)

    def resume(self) -> None:
        self._flowing.set()

    async def end(self) -> None:
        """However far they are: what was not acknowledged stays unknown."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers = []
        self._flowing.set()
        self._busy = 0

    async def take_up(self) -> None:
        """As after its death: send once more the last of what its journal knows no answer to."""
        unanswered = [batch for batch in read(self._journal.path) if not batch.answers]
        for batch in unanswered[-TAKEN_UP:]:
            await self.attempt(batch)

    def forgive_since(self, acked: int) -> None:
        """What was acknowledged after the first so many batches may have been lost by the log."""
        self._journal.forgive(self.acked[acked:])

    def _note(self, batch: Batch, answer: event_pb2.RecordEventsResponse) -> None:
        codes = [_refusal(result) for result in answer.results]
        learned = [result.learned for result in answer.results]
        self._journal.acked(batch, codes, learned)
        self.acked.append(batch)
        for intent, code, is_learned in zip(batch.events, codes, learned, strict=True):
            if (code, is_learned) != (intent.refused, intent.learned):
                self.violations.append(
                    f"{intent.identity} was answered {code or 'OK'}, learned {is_learned}; it should be"
                    f" {intent.refused or 'OK'}, learned {intent.learned}"
                )

    async def _live(self, number: int) -> None:
        while True:
            await self._flowing.wait()
            self._busy += 1
            try:
                await self._visit(f"session-{number}-{self._random.randrange(200)}")
            finally:
                self._busy -= 1
            await rest(self._random.uniform(0.0, 0.04))

    async def _visit(self, session_id: str) -> None:
        """Give up now and then, as an app does that is closed for ever; repeat what was answered."""
        events = self.traffic.events(await self._slate(session_id))
        if not events:
            return
        batch = self._journal.intend(events)
        while not await self.attempt(batch):
            if self._random.random() < 0.1:
                return
            await rest(self._random.uniform(0.02, 0.2))
        if self._random.random() < 0.05:
            await self.attempt(batch)

    async def _slate(self, session_id: str) -> list[Shown]:
        """A new one; when none is to be had, or by chance, one of earlier days."""
        try:
            slate = await self._random.choice(self.lines).slate(8, session_id)
        except grpc.aio.AioRpcError:
            slate = []
        if slate:
            self._slates.append(slate)
            if not 0 < slate[0].feed_propensity <= 1:
                self.violations.append(f"a feed was chosen with probability {slate[0].feed_propensity}")
        if self._slates and (not slate or self._random.random() < 0.2):
            return self._random.choice(self._slates)
        return slate


def _refusal(result: event_pb2.EventResult) -> str:
    """The reason; empty when the event was taken."""
    if not result.outcome.code:
        return ""
    return ErrorReason.Name(result.outcome.reason).removeprefix("ERROR_REASON_")

"""What people saw and did, as the bytes of events: slates of items with what became of each."""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from random import Random
from uuid import UUID

from nearcast.v1 import event_pb2
from nearcast_ledger.claims import UNKNOWN_HASH, Claims
from nearcast_ledger.requestid import RequestIds
from nearcast_ledger.rewardtoken import RewardTokens

SLATE_ITEMS = 10
SLATES_OF_A_SESSION = 3
EPOCH_S = 900
# Of those who see an item, how many do this with it.
ACTS = (("view", 0.2), ("save", 0.04), ("apply", 0.02))
# A repeat comes this many events after the event itself, so that it lies in another batch.
REPEAT_AFTER = 2_000


class Slates:
    """Popular items are shown more often: the share of the n-th falls with 1 / (n + 20)."""

    def __init__(
        self,
        tokens: RewardTokens,
        tenant_id: int,
        postings: Sequence[int],
        repeats: float,
        random: Random,
        people: int = 0,
    ) -> None:
        self._tokens = tokens
        self._tenant_id = tenant_id
        self._postings = list(postings)
        self._weights = [1 / (rank + 20) for rank in range(len(postings))]
        self._repeats = repeats
        self._random = random
        self._ids = RequestIds(lambda: time.time_ns() // 1_000_000, random.randbytes)
        self._people = [random.randbytes(8) for _ in range(people)]
        self._shown = 0
        self._session = UNKNOWN_HASH

    def events(self) -> Iterator[bytes]:
        """Without end; a share of them are repeats of earlier ones."""
        sent: deque[bytes] = deque()
        while True:
            for event in self._slate():
                yield event
                if self._random.random() < self._repeats:
                    sent.append(event)
                else:
                    sent.append(b"")
                if len(sent) > REPEAT_AFTER and (repeat := sent.popleft()):
                    yield repeat

    def _slate(self) -> Iterator[bytes]:
        if self._shown % SLATES_OF_A_SESSION == 0:
            self._session = self._random.choice(self._people) if self._people else self._random.randbytes(8)
        self._shown += 1
        request_id, feed = self._ids.next(), self._random.choice((1, 2))
        chosen = self._random.choices(self._postings, self._weights, k=SLATE_ITEMS)
        for position, posting in enumerate(dict.fromkeys(chosen), 1):
            token = self._tokens.sign(
                claims_of(self._tenant_id, request_id, posting, position, feed, self._session)
            )
            yield event_of("impression", token)
            for kind, share in ACTS:
                if self._random.random() < share:
                    yield event_of(kind, token)


def claims_of(
    tenant_id: int, request_id: UUID, posting: int, position: int, feed: int, session: bytes
) -> Claims:
    """What a gateway says of an item that it shows now."""
    return Claims(
        tenant_id=tenant_id,
        request_id=request_id,
        posting=posting,
        position=position,
        feed=feed,
        feed_propensity=0.5,
        scenario=1,
        market=0,
        policy_revision=1,
        policy_epoch=int(time.time()) // EPOCH_S,
        explore=False,
        subject_hash=session,
        session_hash=session,
        key_id=1,
    )


def event_of(kind: str, token: str) -> bytes:
    """As it is sent, with the time it happened."""
    event = event_pb2.Event(kind=kind, reward_token=token)
    event.occurred_at.GetCurrentTime()
    return event.SerializeToString()


def body_of(events: Sequence[bytes]) -> bytes:
    """The events of a batch as they stand in the message."""
    return b"".join(b"\x12" + _varint(len(event)) + event for event in events)


def message_of(sequence: int, body: bytes) -> bytes:
    """A message with a batch of that sequence, written by hand: a sender should cost next to nothing."""
    batch = b"\x08" + _varint(sequence) + body
    return b"\x12" + _varint(len(batch)) + batch


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)

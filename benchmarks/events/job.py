"""What a sender is told to do, and what it tells."""

from msgspec import Struct


class Job(Struct, frozen=True):
    """Send to these gateways over so many streams, until `seconds` after the warm-up.

    `rate_per_s` 0 sends as fast as batches are acknowledged and no more than `most_backlog` events wait for
    the keeper. The first `prepared` events are made before the start; the
    `spared` newest items are never shown. The same so many `people` come again and again; 0 stands for ever
    new ones.
    """

    addresses: tuple[str, ...]
    key: str
    dsn: str
    tenant_id: int
    batch: int
    seconds: float
    streams: int = 4
    warm_s: float = 2.0
    rate_per_s: float = 0.0
    most_backlog: int = 10_000
    prepared: int = 0
    repeats: float = 0.05
    spared: int = 0
    people: int = 0
    seed: int = 1


class Sent(Struct, frozen=True):
    """What was acknowledged between the warm-up and the end, and how long batches waited for it; `all_events`
    counts from the start.
    """

    events: int
    all_events: int
    durability: str
    ack_p50_ms: float
    ack_p99_ms: float

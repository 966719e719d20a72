"""Ledger rows for tests: a small, seeded day of people looking and acting."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from msgspec.structs import replace

from nearcast_ledger.claims import Claims
from nearcast_ledger.event import AcceptedEvent, Durability, Unlearned
from nearcast_ledger.identity import identity_of, implied_impression
from nearcast_ledger.kinds import APPLY, IMPRESSION, SAVE, VIEW
from nearcast_ledger.surface import surface_number
from nearcast_store.counting.protocol import LedgerRow

MIDNIGHT_MS = 1_789_948_800_000  # 2026-09-21 00:00 UTC
HOUR_MS = 3_600_000
REWARDING = {VIEW, APPLY}
LEFT_AT = {IMPRESSION, SAVE, APPLY}


def uuid7(random_bits: random.Random, ms: int) -> UUID:
    return UUID(
        int=ms << 80 | 7 << 76 | random_bits.getrandbits(12) << 64 | 2 << 62 | random_bits.getrandbits(62)
    )


def claims(request_id: UUID, **fields: object) -> Claims:
    usual: dict[str, object] = {
        "tenant_id": 1,
        "posting": 10,
        "position": 1,
        "feed": 2,
        "feed_propensity": 0.25,
        "scenario": 1,
        "market": 0,
        "policy_revision": 1,
        "policy_epoch": 1,
        "explore": False,
        "subject_hash": b"subject!",
        "session_hash": b"session!",
        "key_id": 1,
    }
    return Claims(request_id=request_id, **(usual | fields))  # type: ignore[arg-type]


def row(event: AcceptedEvent, *, tenant_id: int = 1, implied: bool = False, shard: int = 0) -> LedgerRow:
    return LedgerRow(
        identity=identity_of(tenant_id, event),
        event=event,
        implied=implied,
        received_at_us=(MIDNIGHT_MS + 30 * HOUR_MS) * 1000 + 7,
        gateway_id="gateway-1",
        durability=Durability.EVERYSEC,
        rewards_feed=event.unlearned is Unlearned.LEARNED and event.kind in REWARDING,
        shard=shard,
        cascades=_cascades(event),
    )


def _cascades(event: AcceptedEvent) -> bool:
    """Of two revisions of three; the impressions of their answers, and what people leave them at."""
    decided = event.claims is not None and event.claims.policy_revision % 3 > 0
    return decided and event.unlearned is Unlearned.LEARNED and event.kind in LEFT_AT


def learned(kind: int, decided: Claims) -> LedgerRow:
    return row(AcceptedEvent(kind, Unlearned.LEARNED, decided), tenant_id=decided.tenant_id)


def unlearned(each: LedgerRow) -> LedgerRow:
    """The same event, reported when it was too late to learn from it."""
    event = replace(each.event, unlearned=Unlearned.TOKEN_EXPIRED)
    return replace(each, event=event, implied=False, rewards_feed=False, cascades=False)


@dataclass(slots=True)
class Day:
    """What people did; `rows` as a keeper makes them, implied impressions included."""

    seed: int
    requests: int = 60
    tenants: tuple[int, ...] = (1, 2)
    rows: list[LedgerRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        rng = random.Random(self.seed)
        for _ in range(self.requests):
            self.rows.extend(self._request(rng))
        for _ in range(self.requests // 4):
            event_id = uuid7(rng, MIDNIGHT_MS + rng.randrange(30 * HOUR_MS))
            self.rows.append(
                row(AcceptedEvent(VIEW, Unlearned.TOKEN_MISSING, event_id=event_id, item_id="x"))
            )

    def _request(self, rng: random.Random) -> Iterator[LedgerRow]:
        """Sessions last for hours, cross midnight and markets, and keep their epoch."""
        session = rng.randrange(8)
        request_id = uuid7(rng, MIDNIGHT_MS + rng.randrange(22, 27) * HOUR_MS + rng.randrange(HOUR_MS))
        explore = rng.random() < 0.1
        for position in range(1, 5):
            decided = claims(
                request_id,
                tenant_id=self.tenants[session % len(self.tenants)],
                posting=rng.randrange(1, 8) * 10 + position,
                position=position * rng.choice((1, 9)),
                feed=1 if explore else rng.randrange(2, 5),
                market=rng.randrange(3),
                policy_revision=request_id.int % 5,
                policy_epoch=rng.choice((0, 1, 1, 2)),
                explore=explore,
                session_hash=bytes([session]) * 8,
                scenario=surface_number(1, (session + position) % 3),
            )
            yield from self._acts(rng, decided)

    def _acts(self, rng: random.Random, decided: Claims) -> Iterator[LedgerRow]:
        trust = rng.choice((Unlearned.LEARNED,) * 9 + (Unlearned.TOKEN_EXPIRED,))
        for kind, share in ((IMPRESSION, 0.7), (VIEW, 0.3), (SAVE, 0.2), (APPLY, 0.1)):
            if rng.random() < share:
                event = AcceptedEvent(kind, trust, decided)
                yield row(event, tenant_id=decided.tenant_id)
                if (impression := implied_impression(event)) is not None:
                    yield row(impression, tenant_id=decided.tenant_id, implied=True)

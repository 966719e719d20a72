"""What became of items in a logged decision, told from its record alone."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol
from uuid import UUID

import numpy as np

from nearcast_bandit.draw import SHAPE_CEILING, SHAPE_FLOOR, draw_betas
from nearcast_bandit.evaluation.chances import chances
from nearcast_bandit.posterior import sharpen
from nearcast_bandit.record import DecisionRecord, Pool
from nearcast_server.errors import NotFoundError
from nearcast_server.replaying import Habits, Replayed, replay, why_not_logged
from nearcast_store.catalog.protocol import CatalogStore
from nearcast_store.policies.protocol import PolicyStore

Standing = Literal["SHOWN", "NOT_CHOSEN", "LEFT_OUT", "NOT_FOUND"]
# Candidates times the square of the places: what takes about a second.
MOST_WORK = 200_000


@dataclass(frozen=True, slots=True)
class KindTold:
    """What was believed for one kind of event, and what was drawn; 0 where nothing is drawn."""

    kind: str
    weight: float
    a: float
    b: float
    draw: float


@dataclass(frozen=True, slots=True)
class ItemTold:
    """One item. `chances` are the probabilities to stand at the places of the slate, over all draws.

    They are empty for what was no candidate, or where they were not worked out.
    """

    item_id: str
    standing: Standing
    posting: int = 0
    rank: int = 0
    score: float | None = None
    kinds: Sequence[KindTold] = ()
    chances: Sequence[float] = ()


@dataclass(frozen=True, slots=True)
class DecisionTold:
    """A decision, whether it can be made again, and its items. `candidates_kept`: they are in the record."""

    record: DecisionRecord
    replayed: Replayed
    items: Sequence[ItemTold]

    @property
    def candidates_kept(self) -> bool:
        """Whether more than what was answered is known."""
        return self.record.pool is not None


class Decisions(Protocol):
    """Where records are kept. Raises StoreUnavailableError."""

    async def find(self, tenant_id: int, request_id: UUID) -> bytes | None:
        """The record, packed."""
        ...


class Teller:
    """Reads records. `most_work` bounds how long the chances of one decision may take; None for no bound."""

    def __init__(
        self,
        decisions: Decisions,
        catalog: CatalogStore,
        policies: PolicyStore,
        keep_days: int,
        clock: Callable[[], float],
        most_work: int | None = MOST_WORK,
    ) -> None:
        self._decisions = decisions
        self._catalog = catalog
        self._policies = policies
        self._keep_days = keep_days
        self._clock = clock
        self._most_work = most_work

    async def tell(self, tenant_id: int, request_id: UUID, item_ids: Sequence[str]) -> DecisionTold:
        """These items, or those that were shown. Raises NotFoundError with what is missing, StoreError."""
        raw = await self._decisions.find(tenant_id, request_id)
        if raw is None:
            raise await self._missing(tenant_id, request_id)
        replayed = await asyncio.to_thread(replay, raw)
        record = replayed.record
        if record is None:
            raise _not_logged(replayed)
        postings = await self._postings(tenant_id, record, item_ids)
        kinds = await self._kinds(tenant_id, record)
        items = await asyncio.to_thread(self._items, record, kinds, postings)
        return DecisionTold(record, replayed, items)

    async def _postings(
        self, tenant_id: int, record: DecisionRecord, item_ids: Sequence[str]
    ) -> dict[str, int]:
        """By item id; 0 for what there is not. What was shown keeps its posting, whoever has the id now."""
        names = await self._catalog.names(tenant_id, record.outcome.postings)
        shown = {names[posting][0]: posting for posting in record.outcome.postings if posting in names}
        if not item_ids:
            return shown
        current = await self._catalog.current_postings(tenant_id, item_ids)
        return {item_id: shown.get(item_id, current.get(item_id, 0)) for item_id in item_ids}

    async def _kinds(self, tenant_id: int, record: DecisionRecord) -> Mapping[int, str]:
        revision = await self._policies.revision(tenant_id, record.circumstances.policy_revision)
        return {} if revision is None else {number: kind for kind, number in revision.kinds.items()}

    async def _missing(self, tenant_id: int, request_id: UUID) -> NotFoundError:
        revision, keyring = (
            await self._policies.current(tenant_id),
            await self._policies.keyring(tenant_id),
        )
        habits = Habits(tenant_id, revision.policy, [key.secret for key in keyring.keys], self._keep_days)
        return _not_logged(why_not_logged(request_id, habits, datetime.fromtimestamp(self._clock(), UTC)))

    def _items(
        self, record: DecisionRecord, kinds: Mapping[int, str], postings: Mapping[str, int]
    ) -> list[ItemTold]:
        table = self._chances(record)
        return [_item(record, kinds, item_id, posting, table) for item_id, posting in postings.items()]

    def _chances(self, record: DecisionRecord) -> np.ndarray | None:
        pool, places = record.pool, len(record.outcome.postings)
        if pool is None or not places:
            return None
        if self._most_work is not None and pool.postings.size * places**2 > self._most_work:
            return None
        return chances(record, places)


def _item(
    record: DecisionRecord,
    kinds: Mapping[int, str],
    item_id: str,
    posting: int,
    table: np.ndarray | None,
) -> ItemTold:
    pool, outcome = record.pool, record.outcome
    rank = outcome.postings.index(posting) + 1 if posting in outcome.postings else 0
    score = outcome.scores[rank - 1] if rank else None
    rows = np.flatnonzero(pool.postings == posting) if pool is not None else np.empty(0, np.int64)
    if pool is None or not rows.size:
        standing: Standing = "SHOWN" if rank else "LEFT_OUT" if posting else "NOT_FOUND"
        return ItemTold(item_id, standing, posting, rank, score)
    row = int(rows[0])
    told = tuple(table[row].tolist()) if table is not None else ()
    standing = "SHOWN" if rank else "LEFT_OUT" if posting in record.excluded else "NOT_CHOSEN"
    return ItemTold(item_id, standing, posting, rank, score, _kinds_told(record, pool, kinds, row), told)


def _kinds_told(
    record: DecisionRecord, pool: Pool, kinds: Mapping[int, str], row: int
) -> tuple[KindTold, ...]:
    ordering = record.ordering
    weights = dict(zip(ordering.kinds, ordering.weights, strict=True))
    posting = pool.postings[row : row + 1]
    told = []
    for line, number in enumerate(pool.kinds):
        a, b = pool.a[line, [row]], pool.b[line, [row]]
        draw = 0.0
        if ordering.order == "draw" and weights.get(number):
            shapes = np.clip(a, SHAPE_FLOOR, SHAPE_CEILING), np.clip(b, SHAPE_FLOOR, SHAPE_CEILING)
            drawn = draw_betas(ordering.seed, posting, number, *sharpen(*shapes, ordering.sharpness))
            draw = float(np.asarray(drawn)[0])
        name = kinds.get(number, str(number))
        told.append(KindTold(name, weights.get(number, 0.0), float(a[0]), float(b[0]), draw))
    return tuple(told)


def _not_logged(replayed: Replayed) -> NotFoundError:
    return NotFoundError(
        "DECISION_NOT_LOGGED",
        f"there is no record of that decision: {replayed.message}",
        metadata={"field": "request_id", "cause": replayed.reason},
    )

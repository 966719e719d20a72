"""What became of items in a logged decision, told from its record, and what the record was decided by."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import numpy as np
from msgspec.structs import replace

from nearcast_bandit.evaluation.chances import chances
from nearcast_bandit.factors import Factors
from nearcast_bandit.record import DecisionRecord
from nearcast_bandit.unruled import Move, Unruled, unruled
from nearcast_catalogue.eligibility import Filter, every_reason
from nearcast_catalogue.item import ServedItem
from nearcast_server.appraising import CAUSES, Cause, Standing
from nearcast_server.decidedbeliefs import KindTold, kinds_told
from nearcast_server.decidedfactors import Multiplied, multiplied
from nearcast_server.errors import NotFoundError
from nearcast_server.replaying import Habits, Replayed, replay, why_not_logged
from nearcast_server.surfaces import Surface, surfaces_of
from nearcast_store.catalog.protocol import CatalogStore, StoredItem
from nearcast_store.errors import UnreadablePolicyError
from nearcast_store.policies.protocol import PolicyStore, Revision

# Candidates times the square of the places: what takes about a second.
MOST_WORK = 200_000


@dataclass(frozen=True, slots=True)
class ItemTold:
    """One item. `chances` are the probabilities to stand at the places of the slate, over all draws.

    They are empty for what was no candidate, or where they were not worked out. `drawn_rank` is where it
    would stand without rules, among all; `moves` are the rules without which it would stand elsewhere. What
    `is_changed` since the decision is told no more of.
    """

    item_id: str
    standing: Standing
    posting: int = 0
    rank: int = 0
    score: float | None = None
    kinds: Sequence[KindTold] = ()
    chances: Sequence[float] = ()
    causes: Sequence[Cause] = ()
    drawn_rank: int = 0
    moves: Sequence[Move] = ()
    multiplied: Multiplied | None = None
    is_new: bool | None = None
    is_changed: bool = False


@dataclass(frozen=True, slots=True)
class DecisionTold:
    """A decision, whether it can be made again, and its items."""

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
        surface, kinds = _terms(record, await self._revision(tenant_id, record))
        looked = bool(item_ids) or _has_boosts(surface)
        stored = await self._stored(tenant_id, postings) if looked else None
        items = await asyncio.to_thread(
            self._items, record, replayed, postings, _Known(kinds, surface, stored)
        )
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

    async def _stored(self, tenant_id: int, postings: Mapping[str, int]) -> dict[int, StoredItem]:
        """As they are now, of those that still live the same life."""
        alive = [item_id for item_id, posting in postings.items() if posting]
        found = await asyncio.gather(*(self._catalog.get(tenant_id, item_id) for item_id in alive))
        return {each.served.posting: each for each in found if each is not None}

    async def _revision(self, tenant_id: int, record: DecisionRecord) -> Revision | None:
        try:
            return await self._policies.revision(tenant_id, record.circumstances.policy_revision)
        except UnreadablePolicyError:
            return None

    async def _missing(self, tenant_id: int, request_id: UUID) -> NotFoundError:
        revision, keyring = (
            await self._policies.current(tenant_id),
            await self._policies.keyring(tenant_id),
        )
        habits = Habits(tenant_id, revision.policy, [key.secret for key in keyring.keys], self._keep_days)
        return _not_logged(why_not_logged(request_id, habits, datetime.fromtimestamp(self._clock(), UTC)))

    def _items(
        self, record: DecisionRecord, replayed: Replayed, postings: Mapping[str, int], known: "_Known"
    ) -> list[ItemTold]:
        is_whole = record.pool is not None and replayed.status in ("equal", "different")
        table = self._chances(record) if is_whole else None
        judge = _Judge(record, unruled(record) if is_whole else None, table, known)
        return [judge.item(item_id, posting) for item_id, posting in postings.items()]

    def _chances(self, record: DecisionRecord) -> np.ndarray | None:
        pool, places = record.pool, len(record.outcome.postings)
        if pool is None or not places:
            return None
        if self._most_work is not None and pool.postings.size * places**2 > self._most_work:
            return None
        return chances(record, places)


@dataclass(frozen=True, slots=True)
class _Known:
    """Beside the record: kinds by number and the surface of its policy; items as they are now, None where
    that does not matter.
    """

    kinds: Mapping[int, str]
    surface: Surface | None
    stored: Mapping[int, StoredItem] | None


@dataclass(frozen=True, slots=True)
class _Judge:
    """Tells of one item after the other; `without` is None where the decision cannot be made again."""

    record: DecisionRecord
    without: Unruled | None
    table: np.ndarray | None
    known: _Known

    def item(self, item_id: str, posting: int) -> ItemTold:
        record, outcome = self.record, self.record.outcome
        rank = outcome.postings.index(posting) + 1 if posting in outcome.postings else 0
        score = outcome.scores[rank - 1] if rank else None
        pool = record.pool
        rows = np.flatnonzero(pool.postings == posting) if pool is not None else np.empty(0, np.int64)
        served, is_changed = self._served(posting)
        if pool is None or not rows.size:
            standing: Standing = "SHOWN" if rank else "LEFT_OUT" if posting else "NOT_FOUND"
            causes = self._left_out(posting, served) if standing == "LEFT_OUT" else ()
            return ItemTold(item_id, standing, posting, rank, score, causes=causes, is_changed=is_changed)
        row, without = int(rows[0]), self.without
        drawn_rank = without.ranks.get(posting, 0) if without else 0
        standing = "SHOWN" if rank else "LEFT_OUT" if posting in record.excluded else "NOT_CHOSEN"
        return ItemTold(
            item_id,
            standing,
            posting,
            rank,
            without.scores.get(posting) if without and score is None else score,
            kinds_told(record, pool, self.known.kinds, row),
            tuple(self.table[row].tolist()) if self.table is not None else (),
            () if rank else self._outdone(posting, drawn_rank),
            drawn_rank,
            without.moves(posting, rank) if without and posting not in record.excluded else (),
            multiplied(pool, row, _factors(self.known.surface), served),
            None if pool.is_new is None else bool(pool.is_new[row]),
            is_changed,
        )

    def _served(self, posting: int) -> tuple[ServedItem | None, bool]:
        """The item as it was then; None where that is not known. And whether it has changed since."""
        if self.known.stored is None or not posting:
            return None, False
        stored = self.known.stored.get(posting)
        if stored is None:
            return None, True
        is_changed = stored.updated_at > self.record.circumstances.decided_at
        return None if is_changed else stored.served, is_changed

    def _outdone(self, posting: int, drawn_rank: int) -> tuple[Cause, ...]:
        record = self.record
        if posting in record.excluded:
            return ("SHOWN_BEFORE",)
        if self.without is None:
            return ()
        if 0 < drawn_rank <= len(record.outcome.postings):
            return ("PLACES",)
        return ("NOT_OF_THE_SHUFFLE" if record.ordering.order == "explore" else "LOWER_SCORE",)

    def _left_out(self, posting: int, served: ServedItem | None) -> tuple[Cause, ...]:
        """What can be known of it without the place, the person and the request's own filter."""
        decided_at = self.record.circumstances.decided_at
        if posting in self.record.excluded:
            return ("SHOWN_BEFORE",)
        stored = (self.known.stored or {}).get(posting)
        if stored is not None and stored.served.born_at > decided_at:
            return ("LATER",)
        if served is None:
            return ()
        surface = self.known.surface
        wanted = Filter(also=None if surface is None else surface.filter)
        return tuple(CAUSES[reason] for reason in every_reason(wanted, decided_at)(served))


def _terms(record: DecisionRecord, revision: Revision | None) -> tuple[Surface | None, dict[int, str]]:
    """What the policy says that decided: the surface where it asks for anything, and kinds by number."""
    if revision is None:
        return None, {}
    name = record.circumstances.scenario
    scenario = revision.policy.scenarios.get(name)
    surface = None if scenario is None else surfaces_of({name: scenario}).get(name)
    return surface, {number: kind for kind, number in revision.kinds.items()}


def _factors(surface: Surface | None) -> Factors | None:
    return None if surface is None else replace(surface.factors or Factors(), seen_share=surface.seen_share)


def _has_boosts(surface: Surface | None) -> bool:
    return surface is not None and surface.factors is not None and bool(surface.factors.boosts)


def _not_logged(replayed: Replayed) -> NotFoundError:
    return NotFoundError(
        "DECISION_NOT_LOGGED",
        f"there is no record of that decision: {replayed.message}",
        metadata={"field": "request_id", "cause": replayed.reason},
    )

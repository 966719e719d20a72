"""A log of decisions whose truth is known: people who look down a slate and act at rates of their own."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.master import FeedShare, choose
from nearcast_bandit.record import (
    Circumstances,
    DecisionRecord,
    FeedChoice,
    Ordering,
    OrderName,
    Outcome,
    Pool,
)
from nearcast_bandit.redeciding import redecide
from nearcast_config.orders.ways import way_of
from nearcast_config.policy import Decisions, Exploration, Feed, Kind, Policy
from nearcast_ledger.claims import Claims
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_ledger.requestid import uuid7
from nearcast_store.counting.protocol import LedgerRow
from nearcast_store.decisions.codec import pack
from nearcast_store.decisions.stream import Logged
from tests.conformance.ledger_rows import learned

ATTENTION = np.array([1.0, 0.6, 0.4])
PRIOR_MEAN, PRIOR_STRENGTH = 0.1, 20.0
PLACES = ATTENTION.size
_MINUTE_MS = 60_000


def one_kind(
    weight: float = 1.0, mean: float = PRIOR_MEAN, strength: float = PRIOR_STRENGTH
) -> dict[str, Kind]:
    """Views alone are worth something."""
    return {
        "view": Kind(weight=weight, prior_mean=mean, prior_strength=strength),
        "save": Kind(weight=0.0),
        "apply": Kind(weight=0.0),
    }


def logging_policy(share: float = 0.2, **changed: object) -> Policy:
    """Draws and the nearest; everything is logged."""
    policy = Policy(
        kinds=one_kind(),
        exploration=Exploration(share=share, pool_size=10),
        feeds={"draw": Feed(order="draw", floor=0.5), "nearest": Feed(order="nearest", floor=0.1)},
        decisions=Decisions(log_share=1.0),
    )
    return msgspec.structs.replace(policy, **changed)


@dataclass(slots=True)
class LoggedTown:
    """Twelve items at one place, believed in from some looks at each; `shares` are those of its feeds."""

    seed: int
    policy: Policy = field(default_factory=logging_policy)
    shares: tuple[tuple[str, float], ...] = (("draw", 0.8), ("nearest", 0.2))
    looks: int = 60
    items: int = 12
    tenant_id: int = 1
    revision: int = 1
    rates: Floats = field(init=False)
    pool: Pool = field(init=False)

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        self.rates = rng.beta(1.0, 9.0, self.items)
        seen = rng.binomial(self.looks, self.rates)
        a = np.full((3, self.items), 1.0)
        b = np.full((3, self.items), 49.0)
        a[0] = PRIOR_MEAN * PRIOR_STRENGTH + seen
        b[0] = (1 - PRIOR_MEAN) * PRIOR_STRENGTH + self.looks - seen
        distances: Floats = rng.permutation(self.items).astype(np.float64) * 10 + 5
        self.pool = Pool(np.arange(100, 100 + self.items), distances, None, (VIEW, 3, 4), a, b)

    def records(self, count: int, seed: int, begun_ms: int) -> Iterator[DecisionRecord]:
        """Requests of sessions of about three, one a minute."""
        rng = random.Random(seed)
        unit = rng.random()
        for number in range(count):
            if rng.random() < 1 / 3:
                unit = rng.random()
            yield self.record(rng, unit, begun_ms + number * _MINUTE_MS)

    def record(self, rng: random.Random, unit: float, at_ms: int) -> DecisionRecord:
        """One request, as a gateway writes it down."""
        share = self.policy.exploration.share
        choice = FeedChoice(self.shares, unit, share, rng.random(), resumed=False)
        explores = choice.explore_unit < share
        feed = "explore" if explores else choose([FeedShare(*each) for each in self.shares], unit).feed
        ordering = self._ordering("explore" if explores else feed, rng.getrandbits(60))
        pool = self.pool if ordering.order == "nearest" else replace(self.pool, distances_m=None)
        said = Circumstances(
            request_id=uuid7(at_ms, rng.getrandbits(74)),
            tenant_id=self.tenant_id,
            decided_at=at_ms / 1000,
            build="a test",
            reason="explore" if explores else "share",
            policy_revision=self.revision,
            policy_epoch=1,
            scenario="default",
            market=0,
            radius_used_m=1000.0,
            truncated=False,
            eligible=self.items,
        )
        record = DecisionRecord(said, choice, ordering, (), Outcome(feed, 1.0, explores, (), ()), pool)
        return replace(record, outcome=redecide(record))

    def _ordering(self, feed: str, seed: int) -> Ordering:
        kinds: tuple[int, ...] = ()
        weights: tuple[float, ...] = ()
        order: OrderName = "explore" if feed == "explore" else way_of(self.policy, feed).by
        # As a gateway writes them: all kinds of the policy for a shuffle, those that weigh for a draw.
        if order == "explore":
            kinds, weights = self._all_kinds()
        elif order == "draw":
            kinds, weights = (VIEW,), (self.policy.kinds["view"].weight,)
        pool_size = max(self.policy.exploration.pool_size, PLACES) if order == "explore" else 0
        return Ordering(order, kinds, weights, self.policy.exploration.sharpness, pool_size, seed, PLACES)

    def _all_kinds(self) -> tuple[tuple[int, ...], tuple[float, ...]]:
        numbers = {"view": VIEW, "save": 3, "apply": 4}
        named = sorted(self.policy.kinds)
        return (
            tuple(numbers[name] for name in named),
            tuple(self.policy.kinds[name].weight for name in named),
        )

    def acted(self, record: DecisionRecord, rng: np.random.Generator) -> list[int]:
        """The postings somebody acted on."""
        shown = np.array(record.outcome.postings)
        acts = rng.random(shown.size) < self.rates[shown - 100] * ATTENTION[: shown.size]
        return [int(posting) for posting in shown[acts]]

    def value(self, slates: Integers) -> float:
        """What slates are truly worth, by columns of positions."""
        return float((self.rates[slates] * ATTENTION).sum(axis=1).mean())

    def drawn_value(self, a: Floats, b: Floats, draws: int = 200_000) -> float:
        """Of slates of the best draws, by numpy's own."""
        scores = np.random.default_rng(1).beta(a, b, (draws, self.items))
        return self.value(np.argsort(-scores, axis=1)[:, :PLACES])

    def explored_value(self) -> float:
        """Of an even shuffle of the best by mean."""
        mean = self.pool.a[0] / (self.pool.a[0] + self.pool.b[0])
        pool = np.argsort(-mean, kind="stable")[: self.policy.exploration.pool_size]
        return float(self.rates[pool].mean() * ATTENTION.sum())

    def nearest_value(self) -> float:
        """Of the nearest first."""
        distances = self.pool.distances_m
        assert distances is not None
        return self.value(np.argsort(distances)[None, :PLACES])


def claims_of(record: DecisionRecord, place: int) -> Claims:
    """What the token of one item of the answer says."""
    said, outcome = record.circumstances, record.outcome
    feeds = {"explore": 1, "draw": 2, "nearest": 3}
    return Claims(
        tenant_id=said.tenant_id,
        request_id=said.request_id,
        posting=outcome.postings[place],
        position=place + 1,
        feed=feeds[outcome.feed],
        feed_propensity=outcome.propensity,
        scenario=1,
        market=said.market,
        policy_revision=said.policy_revision,
        policy_epoch=said.policy_epoch,
        explore=outcome.explore,
        subject_hash=b"subject!",
        session_hash=int(record.choice.unit * 2**53).to_bytes(8),
        key_id=1,
    )


def happened(record: DecisionRecord, acted: list[int]) -> Iterator[LedgerRow]:
    """Everything was looked at; some of it was viewed."""
    received_at_us = int(record.circumstances.decided_at * 1_000_000) + 30_000_000
    for place, posting in enumerate(record.outcome.postings):
        for kind in (IMPRESSION, VIEW) if posting in acted else (IMPRESSION,):
            row = learned(kind, claims_of(record, place))
            yield msgspec.structs.replace(row, received_at_us=received_at_us)


def logged(record: DecisionRecord) -> Logged:
    """As it is stored."""
    return Logged(record.circumstances.request_id, pack(record))

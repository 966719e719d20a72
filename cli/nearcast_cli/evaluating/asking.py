"""From the command line to a judgement: what is asked is made sure of, read, and worked out."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from nearcast_bandit.evaluation.chances import DRAWS
from nearcast_bandit.evaluation.verdict import Gate
from nearcast_cli.evaluating.feeds import judge_feeds
from nearcast_cli.evaluating.gathering import Gatherer
from nearcast_cli.evaluating.items import judge_items
from nearcast_cli.evaluating.judgement import Judgement
from nearcast_cli.evaluating.odds import FeedOdds, hours_by_segment
from nearcast_cli.evaluating.progress import Noticed
from nearcast_cli.evaluating.question import Question, unapplied
from nearcast_cli.evaluating.tasks import Fit, TaskMaker, in_the_way
from nearcast_cli.evaluating.traits import Traits
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.ledgers import Ledger
from nearcast_config.policy import Policy
from nearcast_statskeeper.epochs import hours_by_market
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.decisions.reading import Days, open_decisions
from nearcast_store.errors import UnreadablePolicyError
from nearcast_store.markets.atlas import Atlas
from nearcast_store.markets.postgres import PostgresMarketStore
from nearcast_store.policies.protocol import Revision


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for, in their words; empty and 0 for what is not said."""

    tenant: str
    policy: Policy
    days: Days
    kind: str = ""
    market: str = ""
    is_since_told: bool = True
    most: int = 2000
    positions: int = 200
    draws: int = DRAWS
    gate: Gate = Gate()  # noqa: RUF009 - frozen


async def ask(ledger: Ledger, wanted: Wanted, noticed: Noticed) -> Judgement:
    """Everything. Raises CommandFailedError for a market or a kind that is not there."""
    tenant_id = await ledger.records.tenant_id(wanted.tenant)
    in_force = await ledger.records.policies.current(tenant_id)
    atlas = await PostgresMarketStore(ledger.pool).atlas(tenant_id)
    question = _question(tenant_id, in_force, atlas, wanted)
    obstacles = in_the_way(question)

    async def find_revision(number: int) -> Revision | None:
        if number == in_force.number:
            return in_force
        try:
            return await ledger.records.policies.revision(tenant_id, number)
        except UnreadablePolicyError:  # of another version of nearcast
            return None

    async with open_decisions(ledger.pool, tenant_id) as reader:
        gatherer = Gatherer(reader, question, atlas, find_revision, noticed)
        is_idle = bool(obstacles) or in_force.policy == wanted.policy
        fit = Fit(question, atlas, Traits())
        evidence = await gatherer.gather(None if is_idle else fit)
    if is_idle:
        return Judgement(question, evidence, obstacles, None, None, are_shares_told=True)
    counts = await PostgresCountStore(ledger.pool).feed_counts(tenant_id)
    odds = FeedOdds(hours_by_market(counts), time.time(), hours_by_segment(counts))
    maker = TaskMaker(question, evidence, atlas, odds, fit)
    items = judge_items(question, evidence, atlas, list(maker.tasks()), noticed, len(os.sched_getaffinity(0)))
    feeds = judge_feeds(question, evidence, atlas, odds)
    return Judgement(question, evidence, (), items, feeds, maker.are_shares_told)


def _question(tenant_id: int, in_force: Revision, atlas: Atlas, wanted: Wanted) -> Question:
    worth = _worth(in_force, wanted.kind)
    names = {number: name for name, number in in_force.kinds.items()}
    reward = " + ".join(
        names[kind] if value == 1 else f"{value:g} x {names[kind]}" for kind, value in worth.items()
    )
    return Question(
        tenant_id,
        in_force,
        unapplied(wanted.policy, in_force),
        wanted.days,
        worth,
        reward,
        _market(atlas, wanted.market),
        wanted.market,
        wanted.is_since_told,
        wanted.most,
        wanted.positions,
        wanted.draws,
        wanted.gate,
    )


def _worth(in_force: Revision, kind: str) -> Mapping[int, float]:
    """Of one kind each event counts 1; of all, what it weighs in the policy in force."""
    kinds = in_force.policy.kinds
    if kind and kind not in kinds:
        raise CommandFailedError(
            f"there is no kind {kind}; known: {', '.join(sorted(kinds))}", reason="KIND_UNKNOWN", field="kind"
        )
    if kind:
        return {in_force.kinds[kind]: 1.0}
    worth = {in_force.kinds[name]: each.weight for name, each in kinds.items() if each.weight > 0}
    if not worth:
        raise CommandFailedError(
            "no kind of event has a weight in the policy in force, so nothing is worth anything",
            reason="NOTHING_IS_WORTH_ANYTHING",
            field="kinds",
            advice="Name the kind that counts with --kind.",
        )
    return worth


def _market(atlas: Atlas, market_id: str) -> int | None:
    if not market_id:
        return None
    if market_id not in atlas.numbers:
        known = ", ".join(sorted(atlas.numbers)) or "none"
        raise CommandFailedError(
            f"there is no market {market_id}; known: {known}", reason="MARKET_UNKNOWN", field="market"
        )
    return atlas.numbers[market_id]

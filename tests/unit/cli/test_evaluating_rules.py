"""Policies whose rules act beside beliefs, judged by logs of a world whose truth is known."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import msgspec
import numpy as np
import pytest

from nearcast_bandit.arranging import Diversity, Layout
from nearcast_bandit.arrays import Floats
from nearcast_bandit.record import DecisionRecord
from nearcast_bandit.redeciding import redecide
from nearcast_bandit.reserving import Budget
from nearcast_cli.evaluating.gathering import Evidence, LeftOut
from nearcast_cli.evaluating.items import ItemReport, judge_items
from nearcast_cli.evaluating.odds import FeedOdds
from nearcast_cli.evaluating.question import Question, unapplied
from nearcast_cli.evaluating.reach import obstacles
from nearcast_cli.evaluating.tasks import Fit, TaskMaker
from nearcast_cli.evaluating.traits import Traits
from nearcast_config.arrangement import Diversity as DiversitySettings
from nearcast_config.newcomers import Newcomers
from nearcast_config.policy import Exploration, Feed, Policy, Scenario, Slate
from nearcast_config.policytext import policy_from_json, policy_to_json
from nearcast_config.surfacing import Boost
from nearcast_ledger.kinds import VIEW
from nearcast_store.decisions.reading import Candidate, Days
from nearcast_store.markets.atlas import NO_MARKETS
from nearcast_store.policies.protocol import Revision
from tests.decisionlogs import ATTENTION, PLACES, LoggedTown, logging_policy

BEGUN_MS = 1_790_000_000_000
DAY_MS = 86_400_000
OWNERS = ("", "ann", "ann", "ann", "bob", "cat")
CATEGORIES = ("food", "ads", "toys")
TAGS = ((), ("late",), (), ("late", "red"))
REQUESTS, DRAWS = 800, 1_000
ONE_EACH = DiversitySettings(most_per_owner=1)
BOOSTED = Scenario(boosts=(Boost(factor=3.0, owner="bob"), Boost(factor=0.5, tag="late")))
NO_ADS = Scenario(exclude_categories=("ads",))
# `draw` is shown often enough that no chance is drawn too seldom.
BASE = msgspec.structs.replace(logging_policy(share=0.3), exploration=Exploration(share=0.3, pool_size=12))


def candidates_of(postings: Sequence[int], updated_at: float = 1.0) -> list[Candidate]:
    return [
        Candidate(
            posting,
            f"item-{posting}",
            CATEGORIES[posting % len(CATEGORIES)],
            OWNERS[posting % len(OWNERS)],
            TAGS[posting % len(TAGS)],
            updated_at,
        )
        for posting in postings
    ]


@dataclass(slots=True)
class RuledTown(LoggedTown):
    """A town whose policy has rules, written down as a gateway does."""

    def record(self, rng: random.Random, unit: float, at_ms: int) -> DecisionRecord:
        record = LoggedTown.record(self, rng, unit, at_ms)
        ruled = with_rules(record, self.policy, explores=record.outcome.explore)
        shown = redecide(ruled)
        return replace(ruled, outcome=msgspec.structs.replace(record.outcome, postings=shown.postings))


def with_rules(record: DecisionRecord, policy: Policy, *, explores: bool) -> DecisionRecord:
    """What the rules of a policy make of a plain record."""
    pool, newcomers = record.pool, policy.newcomers
    assert pool is not None
    items = candidates_of(pool.postings.tolist())
    if record.ordering.order in ("draw", "explore"):
        pool = replace(pool, factors=factors_of(policy, items))
    if explores:
        return replace(record, pool=pool)
    ordering, layout, wanted = record.ordering, None, policy.diversity
    if wanted.most_per_owner or newcomers.have_budget:
        diversity = Diversity(wanted.most_per_owner, wanted.most_per_category, wanted.window)
        layout = Layout(ordering.limit, diversity if diversity.is_on else Diversity())
    if wanted.most_per_owner:
        numbers: dict[str, int] = {"": 0}
        owners = np.array([numbers.setdefault(each.owner, len(numbers)) for each in items], np.int64)
        pool = replace(pool, owners=owners)
    if newcomers.have_budget:
        ordering = msgspec.structs.replace(
            ordering, budget=Budget(newcomers.floor_share, newcomers.cap_share)
        )
        pool = replace(pool, is_new=pool.postings % 5 == 0)
    return replace(record, pool=pool, ordering=ordering, layout=layout)


def factors_of(policy: Policy, items: Sequence[Candidate]) -> Floats | None:
    boosts = policy.scenarios["default"].boosts
    if not boosts:
        return None
    return np.array(
        [
            math.prod(
                boost.factor
                for boost in boosts
                if boost.owner == each.owner or boost.tag in (each.tags or ("-",))
            )
            for each in items
        ]
    )


def revision(policy: Policy, number: int = 1) -> Revision:
    kinds, feeds = (
        {"impression": 1, "view": 2, "save": 3, "apply": 4},
        {"explore": 1, "draw": 2, "nearest": 3},
    )
    return Revision(1, number, policy_from_json(policy_to_json(policy)), kinds, feeds, {"default": 1})


def truth(town: LoggedTown, policy: Policy, seeds: int = 1_500) -> float:
    """What slates under a policy are worth, each made by hand."""
    rng, rates = random.Random(99), town.rates
    kept = np.array([not _is_barred(policy, posting) for posting in town.pool.postings.tolist()])
    limit, worth = min(policy.slate.max_limit, PLACES), {"draw": 0.0, "explore": 0.0, "nearest": 0.0}
    record = replace(town.record(rng, 0.5, BEGUN_MS), pool=town.pool.only(kept), layout=None)
    for feed in worth:
        for _ in range(seeds):
            plain = replace(record, ordering=LoggedTown._ordering(town, feed, rng.getrandbits(60)))
            slate = redecide(with_rules(plain, policy, explores=feed == "explore")).postings[:limit]
            worth[feed] += float((rates[np.array(slate) - 100] * ATTENTION[: len(slate)]).sum()) / seeds
    share = policy.exploration.share
    return share * worth["explore"] + (1 - share) * sum(part * worth[feed] for feed, part in town.shares)


def _is_barred(policy: Policy, posting: int) -> bool:
    return candidates_of([posting])[0].category in policy.scenarios["default"].exclude_categories


def question_of(before: Policy, after: Policy) -> Question:
    in_force = revision(before)
    days = Days(BEGUN_MS - DAY_MS, BEGUN_MS + 30 * DAY_MS)
    return Question(1, in_force, unapplied(after, in_force), days, {VIEW: 1.0}, "view", draws=DRAWS)


def evidence_of(town: LoggedTown, seed: int, question: Question) -> Evidence:
    evidence, rng = Evidence(revisions={1: question.in_force}), np.random.default_rng([seed, 1])
    for record in town.records(REQUESTS, seed, BEGUN_MS):
        evidence.records.append(record)
        for posting in town.acted(record, rng):
            key: tuple[UUID, int] = record.circumstances.request_id, posting
            evidence.earned[key] = 1.0
    return evidence


def judged(question: Question, evidence: Evidence, updated_at: float = 1.0) -> ItemReport | None:
    fit, fitting, in_force = Fit(question, NO_MARKETS, Traits()), [], question.in_force
    needed = fit.needed([(record, in_force) for record in evidence.records])
    fit.learn(needed, candidates_of(needed, updated_at))
    for record in evidence.records:
        why = fit.why_not(record, in_force)
        if why is None:
            fitting.append(record)
        else:
            evidence.left_out[why] += 1
    evidence.records = fitting
    tasks = list(TaskMaker(question, evidence, NO_MARKETS, FeedOdds({}, 0.0), fit).tasks())
    return judge_items(question, evidence, NO_MARKETS, tasks, lambda _stage, _done, _all: None)


def changed(**settings: object) -> Policy:
    return msgspec.structs.replace(BASE, **settings)


CASES = {
    "diversity where there was none": (BASE, changed(diversity=ONE_EACH)),
    "less diversity": (changed(diversity=ONE_EACH), changed(diversity=DiversitySettings(most_per_owner=2))),
    "no diversity any more": (changed(diversity=ONE_EACH), BASE),
    "boosts": (BASE, changed(scenarios={"default": BOOSTED})),
    "no boosts any more": (changed(scenarios={"default": BOOSTED}), BASE),
    "a filter": (BASE, changed(scenarios={"default": NO_ADS})),
    "a shorter slate": (BASE, changed(slate=Slate(default_limit=2, max_limit=2))),
    "more places for newcomers": (
        changed(newcomers=Newcomers(floor_share=0.3)),
        changed(newcomers=Newcomers(floor_share=0.6)),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_rules_make_of_a_policy_is_told_without_bias(case: str) -> None:
    before, after = CASES[case]
    assert obstacles(before, after) == ()
    # The nearest of fewer items were never shown where they would stand: that share is told as unsupported.
    shares = (("draw", 1.0),) if case == "a filter" else (("draw", 0.8), ("nearest", 0.2))
    town = RuledTown(21, revision(before).policy, shares)
    question = question_of(before, after)
    report = judged(question, evidence_of(town, 5, question))
    assert report is not None
    for side, policy in ((report.current, before), (report.wanted, after)):
        expected = truth(town, policy)
        for name in ("ips", "snips", "doubly_robust"):
            found = side.estimates[name]
            error = (found.high - found.low) / (2 * 1.96)
            # One false alarm in a million.
            assert abs(found.value - expected) < 4.9 * error, (name, found, expected)
        assert abs(side.support.mean_weight_z) < 4.9
        # What is drawn too seldom to be found counts as never.
        assert side.support.unsupported == pytest.approx(0.0, abs=0.03)


def test_items_that_were_changed_since_are_not_taken_for_what_they_are_now() -> None:
    question = question_of(BASE, changed(diversity=ONE_EACH))
    evidence = evidence_of(RuledTown(21, revision(BASE).policy), 1, question)
    assert judged(question, evidence, updated_at=BEGUN_MS / 1000 + 30 * 86_400) is None
    assert evidence.left_out[LeftOut.ITEMS_CHANGED] == REQUESTS


def test_a_filter_that_leaves_too_few_would_look_further() -> None:
    strict = Scenario(exclude_categories=CATEGORIES[:2], exclude_item_ids=("item-101", "item-104"))
    question = question_of(BASE, changed(scenarios={"default": strict}))
    evidence = evidence_of(RuledTown(21, revision(BASE).policy), 1, question)
    assert judged(question, evidence) is None
    assert evidence.left_out[LeftOut.WIDENED] == REQUESTS


def test_a_filter_that_bars_what_is_pinned_is_judged_by_the_places_that_were_left() -> None:
    """Nothing is pinned where the pinned item may not be shown."""
    question, town = question_of(BASE, changed(scenarios={"default": NO_ADS})), RuledTown(21, BASE)
    evidence = evidence_of(town, 5, question)
    evidence.records = [_with_pin(record, 100) for record in evidence.records[:60]]
    assert _is_barred(question.wanted.policy, 100)
    report = judged(question, evidence)
    assert report is not None
    assert not evidence.left_out
    assert report.wanted.support.requests == 60


def _with_pin(record: DecisionRecord, posting: int) -> DecisionRecord:
    assert record.pool is not None
    item = next(each for each in record.pool.candidates if each.posting == posting)
    pinned = replace(record, layout=Layout(record.ordering.limit, pins=((0, item),)))
    shown = redecide(pinned)
    return replace(
        pinned,
        outcome=msgspec.structs.replace(record.outcome, postings=shown.postings, scores=shown.scores),
    )


def test_a_shuffle_of_a_diverse_policy_is_no_evidence_of_its_draws() -> None:
    before = changed(diversity=ONE_EACH)
    question = question_of(before, changed(diversity=DiversitySettings(most_per_owner=2)))
    evidence = evidence_of(RuledTown(21, revision(before).policy), 1, question)
    explored = sum(record.outcome.explore for record in evidence.records)
    report = judged(question, evidence)
    assert report is not None
    assert report.explored == 0
    assert evidence.left_out[LeftOut.WITHHELD] == explored > 0


@pytest.mark.parametrize(
    ("key", "after", "instead"),
    [
        ("slate.max_limit", changed(slate=Slate(max_limit=150)), "nearcast experiment"),
        ("scenarios.default.categories", None, "nearcast experiment"),
        ("newcomers.floor_share", changed(newcomers=Newcomers(floor_share=0.2)), "nearcast experiment"),
        ("scenarios.default.distance_half_m", None, "nearcast experiment"),
        (
            "feeds.nearest.needs",
            changed(feeds={**BASE.feeds, "nearest": Feed("nearest", needs=("person",))}),
            "",
        ),
    ],
)
def test_what_cannot_be_known_is_refused_with_what_to_do_instead(
    key: str, after: Policy | None, instead: str
) -> None:
    scenarios = {
        "scenarios.default.categories": (
            Scenario(categories=("food",)),
            Scenario(categories=("food", "ads")),
        ),
        "scenarios.default.distance_half_m": (Scenario(), Scenario(distance_half_m=500.0)),
    }
    before = BASE
    if key in scenarios:
        before, after = (changed(scenarios={"default": each}) for each in scenarios[key])
    assert after is not None
    (found,) = [each for each in obstacles(before, after) if each.change.key == f"policy.{key}"]
    assert instead in found.why
    assert found.why != "the records do not tell what it would have done"

"""What of a policy can be judged, what feeds get under it, and estimates of a world whose truth is known."""

import math
from dataclasses import replace
from datetime import date

import msgspec
import numpy as np
import pytest

from nearcast_cli.evaluating.feeds import FeedReport, judge_feeds
from nearcast_cli.evaluating.gathering import Evidence, LeftOut
from nearcast_cli.evaluating.items import ItemReport, judge_items
from nearcast_cli.evaluating.judgement import Judgement
from nearcast_cli.evaluating.odds import FeedOdds, are_told, hours_by_segment, refloored
from nearcast_cli.evaluating.page import weight_counts
from nearcast_cli.evaluating.plots import Mark, Pair, pairs_plot, round_numbers
from nearcast_cli.evaluating.progress import Spoken
from nearcast_cli.evaluating.question import Question, unapplied
from nearcast_cli.evaluating.reach import obstacles, only_feeds_change
from nearcast_cli.evaluating.sides import logged_explore_share
from nearcast_cli.evaluating.tasks import Fit, TaskMaker
from nearcast_cli.evaluating.traits import Traits
from nearcast_config.mastery import Market, MarketKind, Master
from nearcast_config.policy import (
    Decisions,
    Exploration,
    Exposure,
    Feed,
    Kind,
    Policy,
    Priors,
    Radius,
    Scenario,
)
from nearcast_config.policytext import policy_from_json, policy_to_json
from nearcast_ledger.kinds import VIEW
from nearcast_statskeeper.epochs import EVERYWHERE
from nearcast_store.counting.protocol import FeedCount
from nearcast_store.decisions.reading import Days, Explored, FeedSession
from nearcast_store.markets.atlas import NO_MARKETS
from nearcast_store.policies.protocol import Revision
from tests.decisionlogs import LoggedTown, logging_policy, one_kind

DAY_MS = 86_400_000
LEARNED = Priors(mode="learned")
REFUSED = {
    "exposure.half_life_hours": Policy(exposure=Exposure(half_life_hours=24.0)),
    "radius.default_m": Policy(radius=Radius(default_m=900.0)),
    "master.frozen": Policy(master=Master(frozen=True)),
    "kinds.view.maturity_hours": Policy(kinds={**Policy().kinds, "view": Kind(1.0, 0.1, 20.0, 3.0)}),
    "kinds.share.weight": Policy(kinds={**Policy().kinds, "share": Kind(weight=1.0)}),
    "priors.mode": Policy(priors=LEARNED),
}
JUDGED = {
    "weights": Policy(kinds={**Policy().kinds, "view": Kind(3.0, 0.1, 20.0)}),
    "priors": Policy(kinds={**Policy().kinds, "view": Kind(1.0, 0.3, 90.0)}),
    "fits that are not used": Policy(priors=Priors(fit_every_hours=3.0)),
    "exploration": Policy(exploration=Exploration(share=0.1, pool_size=20, sharpness=0.5)),
    "feeds": Policy(feeds={"draw": Feed(order="draw"), "viewed": Feed(order="most", kind="view")}),
    "goal": Policy(master=Master(goal="identify")),
    "a kind without weight": Policy(kinds={**Policy().kinds, "share": Kind()}),
    "a kind less": Policy(kinds={"view": Kind(1.0, 0.1, 20.0)}, feeds={"draw": Feed(order="draw")}),
    "a new scenario": Policy(scenarios={"default": Scenario(), "map": Scenario(radius_m=100.0)}),
    "feeds of a market": Policy(markets={"oslo.no": Market(feeds=("draw",))}),
    "what is logged": Policy(decisions=Decisions(log_share=0.5)),
}


def revision(policy: Policy, number: int = 1) -> Revision:
    kept = policy_from_json(policy_to_json(policy))
    feeds = {"explore": 1, **{name: place for place, name in enumerate(kept.feeds, 2)}}
    kinds = {"impression": 1, "view": 2, "save": 3, "apply": 4}
    return Revision(
        1, number, kept, {name: kinds[name] for name in ("impression", *kept.kinds)}, feeds, {"default": 1}
    )


@pytest.mark.parametrize("key", REFUSED)
def test_what_records_do_not_tell_stands_in_the_way(key: str) -> None:
    found = [each.change.key.removeprefix("policy.") for each in obstacles(Policy(), REFUSED[key])]
    assert key in found


@pytest.mark.parametrize("what", JUDGED)
def test_what_records_tell_is_judged(what: str) -> None:
    assert obstacles(Policy(), JUDGED[what]) == ()


def test_learned_priors_cannot_be_learned_again() -> None:
    before = Policy(priors=LEARNED)
    after = msgspec.structs.replace(before, kinds=JUDGED["priors"].kinds)
    assert all("no fit was ever made" in each.why for each in obstacles(before, after))
    assert len(obstacles(before, after)) == 2


def test_a_prior_that_some_markets_do_not_follow_cannot_be_put_in_place_of_another() -> None:
    markets = {"oslo.no": Market(kinds={"view": MarketKind(prior_mean=0.3)})}
    before = Policy(markets=markets)
    found = obstacles(before, Policy(markets=markets, kinds=JUDGED["priors"].kinds))
    assert [each.change.key for each in found] == [
        "policy.kinds.view.prior_mean",
        "policy.kinds.view.prior_strength",
    ]
    assert all("of which market an item is" in each.why for each in found)
    save = {**Policy().kinds, "save": Kind(2.0, 0.3, 50.0, 1.0)}
    assert obstacles(before, Policy(markets=markets, kinds=save)) == ()


def test_settings_of_a_scenario_or_market_concern_it_alone() -> None:
    before = Policy(scenarios={"default": Scenario(), "map": Scenario()})
    after = msgspec.structs.replace(
        before,
        scenarios={"default": Scenario(), "map": Scenario(limit=3)},
        markets={"oslo.no": Market(frozen=True)},
    )
    by_market, by_scenario = obstacles(before, after)
    assert (by_market.market, by_scenario.scenario) == ("oslo.no", "map")
    assert by_scenario.concerns("map", "bergen")
    assert not by_scenario.concerns("default", "oslo.no")
    assert by_market.concerns("default", "oslo.no")
    assert not by_market.concerns("map", "bergen")


def test_only_feeds_change_where_nothing_orders_otherwise() -> None:
    before = logging_policy()
    feeds = {"draw": Feed(order="draw", floor=0.2), "nearest": Feed(order="nearest", floor=0.3)}
    assert only_feeds_change(before, msgspec.structs.replace(before, feeds=feeds))
    assert only_feeds_change(before, logging_policy(markets={"oslo.no": Market(feeds=("draw",))}))
    assert not only_feeds_change(before, logging_policy(markets={"oslo.no": Market(frozen=True)}))
    assert not only_feeds_change(before, before)
    assert not only_feeds_change(before, logging_policy(kinds=one_kind(2.0), feeds=feeds))


def test_other_floors_part_what_they_leave_as_before() -> None:
    before = logging_policy()
    feeds = {"draw": Feed(order="draw", floor=0.2), "nearest": Feed(order="nearest", floor=0.3)}
    after = msgspec.structs.replace(before, feeds=feeds)
    odds = FeedOdds({EVERYWHERE: {2: [(1, 400, 90)], 3: [(1, 300, 60)]}}, 7200.0)
    shares = odds.shares(revision(before), "default", 0, "")
    assert refloored(shares, before, before) == shares
    found, exact = refloored(shares, before, after), odds.shares(revision(after), "default", 0, "")
    assert [feed for feed, _ in found] == [feed for feed, _ in exact]
    assert [share for _, share in found] == pytest.approx([share for _, share in exact], rel=1e-12)
    assert are_told([before, after])
    assert not are_told([before, msgspec.structs.replace(before, master=Master(half_life_days=2.0))])


def test_a_segment_has_the_odds_of_its_own_sessions() -> None:
    own = [FeedCount(0, 2, 1, 200, 10, segment=3), FeedCount(0, 3, 1, 200, 150, segment=3)]
    odds = FeedOdds({EVERYWHERE: {2: [(1, 900, 450)], 3: [(1, 900, 300)]}}, 7200.0, hours_by_segment(own))
    everybody, segment = (
        dict(odds.shares(revision(logging_policy()), "default", 0, "", number)) for number in (0, 3)
    )
    assert everybody["draw"] == pytest.approx(0.9, abs=0.01)
    assert segment["draw"] == pytest.approx(0.5, abs=0.01)


def test_a_feed_that_a_request_could_not_get_has_no_odds() -> None:
    odds = FeedOdds({}, 7200.0)
    assert dict(odds.shares(revision(logging_policy()), "default", 0, "", masked={"draw"})) == {
        "nearest": 1.0
    }


def feeds_judged(sessions: list[FeedSession], before: Policy) -> FeedReport | None:
    feeds = {name: msgspec.structs.replace(feed, floor=0.3) for name, feed in before.feeds.items()}
    question = question_of(before, msgspec.structs.replace(before, feeds=feeds))
    evidence = Evidence(revisions={1: question.in_force}, sessions=sessions)
    return judge_feeds(question, evidence, NO_MARKETS, FeedOdds({}, 0.0))


def session_of(number: int, segment: int) -> FeedSession:
    share = 0.5 * (1 - logging_policy().exploration.share)
    return FeedSession(4, number.to_bytes(8), 2 + number % 2, 0, 1, 1, share, number % 3 == 0, segment)


def test_sessions_of_segments_are_judged_with_all_others() -> None:
    found = feeds_judged([session_of(number, number % 4) for number in range(40)], logging_policy())
    assert found is not None
    assert found.sessions == 40


def test_no_session_is_judged_of_which_it_is_not_known_what_it_could_have_got() -> None:
    before = logging_policy()
    feeds = {**before.feeds, "nearest": msgspec.structs.replace(before.feeds["nearest"], needs=("person",))}
    before = msgspec.structs.replace(before, feeds=feeds)
    assert feeds_judged([session_of(number, 0) for number in range(40)], before) is None


def test_every_exploring_request_is_logged_and_of_the_others_a_share() -> None:
    assert logged_explore_share(0.02, 0.01) == pytest.approx(0.02 / 0.0298)
    assert logged_explore_share(0.02, 0.0) == 1.0
    assert logged_explore_share(0.0, 0.0) == 0.0


def evidence_of(town: LoggedTown, requests: int, seed: int) -> Evidence:
    """As it would be read, where of requests that do not explore only a share is logged."""
    share, chance = town.policy.decisions.log_share, np.random.default_rng([seed, 2])
    rng, evidence = np.random.default_rng([seed, 1]), Evidence(revisions={1: revision(town.policy)})
    for record in town.records(requests, seed, 1_790_000_000_000):
        acted = town.acted(record, rng)
        if record.outcome.explore or chance.random() < share:
            evidence.records.append(record)
            evidence.answered.add(record.circumstances.request_id)
            for posting in acted:
                evidence.earned[record.circumstances.request_id, posting] = 1.0
    evidence.found = len(evidence.records)
    return evidence


def question_of(before: Policy, after: Policy) -> Question:
    in_force = revision(before)
    days = Days(1_790_000_000_000 - DAY_MS, 1_790_000_000_000 + 30 * DAY_MS)
    return Question(1, in_force, unapplied(after, in_force), days, {VIEW: 1.0}, "view")


def judged(question: Question, evidence: Evidence) -> ItemReport | None:
    """What can be judged of it, as it would have been read."""
    fit, fitting = Fit(question, NO_MARKETS, Traits()), []
    for record in evidence.records:
        why = fit.why_not(record, evidence.revisions[record.circumstances.policy_revision])
        if why is None:
            fitting.append(record)
        else:
            evidence.left_out[why] += 1
    evidence.records = fitting
    tasks = list(TaskMaker(question, evidence, NO_MARKETS, FeedOdds({}, 0.0), fit).tasks())
    return judge_items(question, evidence, NO_MARKETS, tasks, lambda _stage, _done, _all: None)


def test_estimates_are_unbiased_though_requests_that_explore_are_logged_more_often() -> None:
    # Half of all requests explore, and of the others a third is logged.
    logging = logging_policy(share=0.5, decisions=Decisions(log_share=1 / 3))
    greedy = logging_policy(exploration=Exploration(share=0.0, pool_size=10, sharpness=0.5))
    town = LoggedTown(21, revision(logging).policy)
    a, b = town.pool.a[0], town.pool.b[0]
    truth = {
        "current": 0.5 * town.explored_value()
        + 0.5 * (0.8 * town.drawn_value(a, b) + 0.2 * town.nearest_value()),
        "wanted": 0.8 * town.drawn_value(a / 0.5, b / 0.5) + 0.2 * town.nearest_value(),
    }
    question, found = question_of(logging, greedy), []
    for seed in range(20):
        report = judged(question, evidence_of(town, 300, seed))
        assert report is not None
        found.append(report)
    for side, names in (("current", ("ips", "snips", "doubly_robust")), ("wanted", ("ips", "snips"))):
        for name in names:
            values = np.array([getattr(report, side).estimates[name].value for report in found])
            z = (values.mean() - truth[side]) / (values.std(ddof=1) / math.sqrt(values.size))
            # One false alarm in a million.
            assert abs(z) < 4.9, (side, name, z)
    naive = np.mean([report.current.estimates["logged"].value for report in found])
    assert naive / truth["wanted"] < 0.9


def test_markets_add_up_to_the_whole() -> None:
    town = LoggedTown(7, revision(logging_policy()).policy)
    evidence = evidence_of(town, 90, 1)
    evidence.records = [
        replace(record, circumstances=msgspec.structs.replace(record.circumstances, market=place % 3))
        for place, record in enumerate(evidence.records)
    ]
    report = judged(question_of(logging_policy(), logging_policy(share=0.1)), evidence)
    assert report is not None
    assert [market.requests for market in report.markets] == [30, 30, 30]
    for side in ("current", "wanted"):
        parts = [getattr(market, side).estimates["ips"].value for market in report.markets]
        assert np.mean(parts) == pytest.approx(getattr(report, side).estimates["ips"].value)


def test_a_record_that_does_not_fit_its_revision_is_left_out() -> None:
    town = LoggedTown(7, revision(logging_policy()).policy)
    evidence = evidence_of(town, 20, 1)
    other = logging_policy(kinds=one_kind(weight=2.0))
    evidence.revisions[1] = revision(other)
    drawn = [each for each in evidence.records if each.ordering.order in ("draw", "explore")]
    assert judged(question_of(other, logging_policy(kinds=one_kind(weight=3.0))), evidence) is not None
    assert evidence.left_out[LeftOut.OTHER_RULES] == len(drawn) > 0


def test_decisions_of_a_policy_that_differs_in_more_are_left_out() -> None:
    town = LoggedTown(7, revision(logging_policy(exposure=Exposure(half_life_hours=5.0))).policy)
    evidence = evidence_of(town, 20, 1)
    question = question_of(logging_policy(), logging_policy(kinds=one_kind(weight=3.0)))
    assert judged(question, evidence) is None
    assert evidence.left_out[LeftOut.OBSTACLE] == 20


def test_how_far_it_is_is_said_now_and_then() -> None:
    said: list[str] = []
    moments = iter([0.0, 2.0, 4.0, 10.0, 20.0, 25.0, 30.0, 40.0])
    spoken = Spoken(said.append, lambda: next(moments))
    for done in (0, 10, 200, 300):
        spoken("reading", done, 9000)
    for done in (1, 2, 200, 400):
        spoken("judging", done, 400)
    assert said == [
        "reading: 200 of 9000 decisions",
        "judging: 2 of 400 decisions, about 17 min left",
    ]


def test_days_without_decisions_and_lost_requests_are_named() -> None:
    evidence = Evidence(found=3, unread=1)
    evidence.by_day.update([date(2026, 9, 22), date(2026, 9, 22), date(2026, 9, 25)])
    evidence.explored = [Explored(date(2026, 9, 22), 9, 2), Explored(date(2026, 9, 25), 5, 0)]
    evidence.left_out[LeftOut.CUT] = 4
    days = Days(1_790_035_200_000, 1_790_035_200_000 + 5 * DAY_MS)
    question = replace(question_of(logging_policy(), logging_policy(share=0.1)), days=days)
    gaps = Judgement(question, evidence, (), None, None, are_shares_told=True).gaps()
    assert gaps[0] == "1 of 3 decisions were not looked at (--most 2000)"
    assert gaps[1] == "no decisions on 2026-09-23 to 2026-09-24, 2026-09-26"
    assert gaps[2].startswith("2 of 14 requests that explored and were seen left no record, on 2026-09-22: ")
    assert gaps[3] == "4 decisions had too many candidates for a record"


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [
        (0.0, 3.19, [0, 1, 2, 3]),
        (-0.171, 1.79, [0, 0.5, 1, 1.5]),
        (-0.0021, 0.0019, [-0.002, -0.001, 0, 0.001]),
        (1000.0, 1004.0, [1000, 1001, 1002, 1003, 1004]),
        (0.0, 1e-9, [0, 5e-10, 1e-9]),
    ],
)
def test_scales_of_plots_have_round_numbers(low: float, high: float, numbers: list[float]) -> None:
    assert round_numbers(low, high) == pytest.approx(numbers)


def test_plots_show_every_value_and_escape_names() -> None:
    plot = pairs_plot("a & b", [Pair("<x>", Mark(1.0, 0.5, 1.5), Mark(2.0, 1.5, 2.5))], "below")
    assert plot.count("<circle") == 2
    assert "<x>" not in plot
    assert "&lt;x&gt;" in plot
    assert sum(count for _, count in weight_counts(np.array([0.0, 0.3, 1.0, 7.0, 900.0]))) == 5
    assert dict(weight_counts(np.array([0.0, 900.0])))["over 100"] == 1

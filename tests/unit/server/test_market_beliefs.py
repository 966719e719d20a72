"""What is believed of items: markets with priors and half-lives of their own, and curves that were fitted."""

import msgspec
import numpy as np
import pytest

from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_config.mastery import Market, MarketKind
from nearcast_config.policy import Exposure, Priors
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_server.evidence import Learner
from nearcast_server.priors import priors_of
from nearcast_store.counting.exposing import exposing
from nearcast_store.counting.protocol import CountRow
from nearcast_store.priors.protocol import EVERYWHERE, PriorFit
from tests.unit.server.scene import HOUR, NOW, TENANT, make_policy, make_revision

MARKETS = {"oslo": 1, "bergen": 2}
OSLO = Market(half_life_hours=10.0, kinds={"view": MarketKind(prior_mean=0.4)})
POLICY = make_policy(markets={"oslo": OSLO, "gone": OSLO}, exposure=Exposure(half_life_hours=0.0))
ROW = list(POLICY.kinds).index("view")


def counts(hours_ago: int = 10) -> list[CountRow]:
    return [
        CountRow(posting, market, kind, HOUR - 1 - hours_ago, 1, 1, False, count)
        for posting, market in ((1, 1), (1, 2), (2, 2))
        for kind, count in ((IMPRESSION, 100), (VIEW, 30))
    ]


def learn(policy: object = POLICY, rows: list[CountRow] | None = None) -> Learner:
    learner = Learner()
    learner.learn(counts() if rows is None else rows)
    learner.follow(make_revision(policy), HOUR * 3600.0, None, MARKETS)  # type: ignore[arg-type]
    return learner


def test_a_market_forgets_at_its_own_pace_and_others_at_the_policys() -> None:
    exposed = learn().evidence(HOUR * 3600.0).beliefs([1, 2]).exposures[ROW]
    # Ten hours ago and a half-life of ten: half of it, spread over its hour.
    mean = 0.5 * (1 - 2**-0.1) / (0.1 * np.log(2))
    np.testing.assert_allclose(exposed, [100 + 100 * mean, 100], rtol=1e-9)


def test_counts_that_come_later_go_where_their_market_belongs() -> None:
    late = learn(rows=[])
    late.learn(counts())
    found, wanted = (each.evidence(HOUR * 3600.0).beliefs([1, 2]) for each in (late, learn()))
    np.testing.assert_allclose(found.exposures, wanted.exposures, rtol=1e-12)
    np.testing.assert_allclose(found.successes, wanted.successes, rtol=1e-12)
    late.forget()
    assert late.evidence(HOUR * 3600.0).beliefs([1]).exposures.max() == 0


def test_items_of_a_market_begin_with_what_is_believed_there() -> None:
    evidence = learn().evidence(NOW)
    usual = POLICY.kinds["view"]
    beliefs = evidence.beliefs([8, 9, 9], [(1, "food"), (2, "food"), (0, "")])
    assert [beliefs.prior(ROW, column).prior for column in range(3)] == [
        Prior(0.4, usual.prior_strength),
        Prior(usual.prior_mean, usual.prior_strength),
        Prior(usual.prior_mean, usual.prior_strength),
    ]
    assert evidence.priors.differ
    assert not learn(make_policy()).evidence(NOW).priors.differ


def test_a_market_that_is_not_on_the_map_changes_nothing() -> None:
    learner = Learner()
    learner.follow(make_revision(POLICY), NOW)
    assert learner.evidence(NOW).priors.named == {}
    learner.follow(make_revision(POLICY), NOW, None, MARKETS)
    assert learner.evidence(NOW).priors.named != {}


def level_prior(mean: float, level: Level) -> LevelPrior:
    return LevelPrior(Prior(mean, 40.0), level, FitKind.FITTED, 9, 100.0, 10.0, 0.5)


@pytest.mark.parametrize(
    ("level", "mean"), [(Level.MARKET, 0.2), (Level.ALL, 0.4)], ids=["fitted to it", "not fitted to it"]
)
def test_a_fit_to_the_markets_own_items_takes_the_place_of_what_is_configured(
    level: Level, mean: float
) -> None:
    policy = msgspec.structs.replace(POLICY, priors=Priors(mode="learned"))
    regions = {
        EVERYWHERE: level_prior(0.1, Level.ALL),
        (1, None): level_prior(0.2, level),
        (1, "food"): level_prior(0.3, Level.CATEGORY),
        (2, None): level_prior(0.15, Level.ALL),
    }
    priors = priors_of(make_revision(policy), PriorFit(TENANT, 1, b"", NOW, {VIEW: regions}), MARKETS)
    found = {
        place: priors.lines[priors.line_of(place)][ROW].prior.mean
        for place in ((1, "books"), (1, "food"), (2, ""), (3, ""))
    }
    assert found == {(1, "books"): mean, (1, "food"): 0.3, (2, ""): 0.15, (3, ""): 0.1}


def test_evidence_follows_the_curve_that_was_fitted_last() -> None:
    exposure = Exposure(mode="pbm", position_curve="fitted", starting_curve=(1.0, 0.8), half_life_hours=0.0)
    policy = make_policy(exposure=exposure)
    revision = make_revision(policy)
    rows = [CountRow(1, 0, IMPRESSION, HOUR - 100, 2, 1, False, 100)]
    learner = Learner()
    learner.learn(rows)
    for curve, exposed in ((None, 80.0), ((1.0, 0.5), 50.0), ((1.0, 0.25), 25.0)):
        learner.follow(revision, NOW, exposing(policy, curve))
        assert learner.evidence(NOW).beliefs([1]).exposures[ROW].tolist() == [pytest.approx(exposed)]

"""Which prior an item begins with: by kind, market and category, as the policy asks."""

import msgspec
import numpy as np
import pytest

from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_config.policy import Kind, Policy, Priors
from nearcast_ledger.kinds import IMPRESSION, SAVE, VIEW
from nearcast_server.evidence import Learner
from nearcast_server.priors import Place, priors_of
from nearcast_store.priors.protocol import EVERYWHERE, PriorFit, Region
from tests.unit.server.scene import NOW, TENANT, make_count, make_policy, make_revision

LEARNED = make_policy(priors=Priors(mode="learned"))


def level_prior(mean: float, level: Level, strength: float = 40.0) -> LevelPrior:
    return LevelPrior(Prior(mean, strength), level, FitKind.FITTED, 9, 100.0, 10.0, 0.5)


def make_fit(number: int = 3) -> PriorFit:
    """Of views in some places and of saves everywhere; applications were not fitted."""
    regions: dict[Region, LevelPrior] = {
        EVERYWHERE: level_prior(0.1, Level.ALL),
        (1, None): level_prior(0.2, Level.MARKET),
        (1, "food"): level_prior(0.3, Level.CATEGORY),
        (1, ""): level_prior(0.4, Level.CATEGORY),
        (0, None): level_prior(0.5, Level.MARKET),
    }
    saves: dict[Region, LevelPrior] = {EVERYWHERE: level_prior(0.01, Level.ALL)}
    return PriorFit(TENANT, number, b"", NOW, {VIEW: regions, SAVE: saves})


@pytest.mark.parametrize(
    ("place", "mean", "level"),
    [
        ((1, "food"), 0.3, Level.CATEGORY),
        ((1, ""), 0.4, Level.CATEGORY),
        ((1, "unheard of"), 0.2, Level.MARKET),
        ((0, "food"), 0.5, Level.MARKET),
        ((2, "food"), 0.1, Level.ALL),
    ],
)
def test_an_item_begins_with_the_nearest_prior_there_is(place: Place, mean: float, level: Level) -> None:
    priors = priors_of(make_revision(LEARNED), make_fit())
    views, saves, applications = priors.lines[priors.line_of(place)]
    assert (views.prior.mean, views.level) == (mean, level)
    assert (saves.prior.mean, saves.level) == (0.01, Level.ALL)
    kind = LEARNED.kinds["apply"]
    assert (applications.prior, applications.level) == (
        Prior(kind.prior_mean, kind.prior_strength),
        Level.CONFIGURED,
    )


def test_a_kind_that_came_after_the_fit_is_as_configured() -> None:
    policy = msgspec.structs.replace(
        LEARNED, kinds={**LEARNED.kinds, "share": Kind(weight=1.0, prior_mean=0.33, prior_strength=7.0)}
    )
    priors = priors_of(make_revision(policy), make_fit())
    row = list(policy.kinds).index("share")
    assert {line[row].prior for line in priors.lines} == {Prior(0.33, 7.0)}


@pytest.mark.parametrize(("policy", "fit"), [(make_policy(), make_fit()), (LEARNED, None)])
def test_without_a_fit_or_a_policy_that_asks_for_it_priors_are_as_configured(
    policy: Policy, fit: PriorFit | None
) -> None:
    priors = priors_of(make_revision(policy), fit)
    configured = tuple(Prior(kind.prior_mean, kind.prior_strength) for kind in policy.kinds.values())
    assert priors.otherwise == configured
    assert (len(priors.lines), priors.fit, dict(priors.named)) == (1, 0, {})
    assert priors.fits == (0 if fit is None else fit.number)


def test_a_fit_moves_posteriors_by_its_prior_alone() -> None:
    learner = Learner()
    learner.follow(make_revision(LEARNED), NOW)
    learner.learn([make_count(1, IMPRESSION, 100), make_count(1, VIEW, 30)])
    before = learner.evidence(NOW)
    learner.assume(make_fit())
    places = [(1, "food"), (1, "food"), (2, "")]
    after = learner.evidence(NOW).beliefs([1, 2, 1], places)
    plain = before.beliefs([1, 2, 1])
    np.testing.assert_array_equal(after.exposures, plain.exposures)
    np.testing.assert_array_equal(after.successes, plain.successes)
    kind = LEARNED.kinds["view"]
    moved = 40.0 * np.array([0.3, 0.3, 0.1]) - kind.prior_strength * kind.prior_mean
    np.testing.assert_allclose(after.a[0] - plain.a[0], moved, rtol=1e-12)
    assert [after.prior(0, column).level for column in range(3)] == [
        Level.CATEGORY,
        Level.CATEGORY,
        Level.ALL,
    ]
    assert before.beliefs([1], [(1, "food")]).prior(0, 0).level is Level.CONFIGURED


def test_priors_are_the_same_object_until_policy_or_fit_are_others() -> None:
    """Whoever was told everything by them need not look at them again."""
    learner, fit = Learner(), make_fit()
    learner.follow(make_revision(LEARNED), NOW)
    learner.assume(fit)
    first = learner.evidence(NOW).priors
    learner.assume(fit)
    assert learner.evidence(NOW + 1).priors is first
    learner.assume(make_fit(4))
    second = learner.evidence(NOW).priors
    assert second.fit == 4
    learner.follow(make_revision(make_policy(), 2), NOW)
    assert learner.evidence(NOW).priors is not second
    assert learner.evidence(NOW).priors.fit == 0

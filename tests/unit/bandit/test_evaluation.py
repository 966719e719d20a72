"""Estimates by hand, resampling against theory, and when no verdict is given."""

import re
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.published.offpolicy import biases
from benchmarks.published.slates import SlateWorld, slate_world
from nearcast_bandit.arrays import Floats
from nearcast_bandit.evaluation.bootstrap import Resampling, resampled_estimates
from nearcast_bandit.evaluation.logged import ShownItems
from nearcast_bandit.evaluation.report import evaluate
from nearcast_bandit.evaluation.sums import session_sums
from nearcast_bandit.evaluation.support import Support, effective_size, measure_support, unsupported_mass
from nearcast_bandit.evaluation.verdict import Gate, Outcome, judge

# Two sessions, three requests; the last one has one item only.
HAND = ShownItems(
    session=np.array([9, 9, 9, 9, 4]),
    request=np.array([1, 1, 2, 2, 3]),
    position=np.array([1, 2, 1, 2, 1]),
    reward=np.array([1.0, 0, 0, 2, 1]),
    logged=np.array([0.5, 0.25, 0.5, 0.5, 0.2]),
    target=np.array([0.25, 0.5, 0.5, 0.25, 0.6]),
    unsupported=np.zeros(5),
    modelled=np.array([0.5, 0.1, 0.2, 1.0, 0.4]),
    expected=np.array([0.4, 0.2, 0.4, 0.2, 0.4]),
)
FEW = Gate(least_effective=0)
QUICK = Resampling(200)


@pytest.fixture(scope="module")
def world() -> SlateWorld:
    return slate_world(3)


def logged(world: SlateWorld, requests: int, seed: int, target: Floats | None = None) -> ShownItems:
    shown, rewards = world.log(requests, np.random.default_rng(seed))
    rows = world.rows(shown, rewards, world.logged)
    if target is None:
        return rows
    return replace(rows, target=target[shown, range(3)].reshape(-1))


def test_every_estimator_by_hand() -> None:
    found = {name: estimate.value for name, estimate in evaluate(HAND, FEW).estimates.items()}
    # Weights 0.5, 2, 1, 0.5, 3 over three requests.
    assert found == pytest.approx(
        {
            "logged": 4 / 3,
            "ips": (0.5 + 1 + 3) / 3,
            "snips": 3 / 3 * (3.5 / 4.5) + 2 / 3 * (1 / 2.5),
            "direct": 1.6 / 3,
            "doubly_robust": (1.6 + 0.5 * 0.5 - 2 * 0.1 - 1 * 0.2 + 0.5 * 1 + 3 * 0.6) / 3,
        }
    )


def test_positions_add_up_to_the_whole() -> None:
    whole = evaluate(HAND, FEW)
    for name, estimate in whole.estimates.items():
        assert sum(place.values[name] for place in whole.positions) == pytest.approx(estimate.value)
    assert [(place.position, place.rows, round(place.largest_weight, 9)) for place in whole.positions] == [
        (1, 3, 3.0),
        (2, 2, 2.0),
    ]


def test_without_a_model_there_is_no_doubly_robust_estimate() -> None:
    found = evaluate(replace(HAND, modelled=None, expected=None), FEW)
    assert set(found.estimates) == {"logged", "ips", "snips"}
    assert found.judged_by == "snips"
    assert evaluate(HAND, FEW).judged_by == "doubly_robust"


def test_a_log_judged_for_its_own_policy_gives_what_it_earned(world: SlateWorld) -> None:
    found = evaluate(logged(world, 4_000, 1, target=world.logged))
    earned = found.estimates["logged"].value
    assert found.estimates["ips"].value == pytest.approx(earned)
    assert found.estimates["snips"].value == pytest.approx(earned)
    assert found.support.effective == pytest.approx(4_000)
    assert found.verdict.outcome is Outcome.UNDECIDED


def test_estimates_are_unbiased_where_the_plain_mean_is_not(world: SlateWorld) -> None:
    found = {each.estimator: each for each in biases(world, 40, 10_000, {})}
    assert abs(found["ips"].z) < 4.9
    assert abs(found["snips"].z) < 4.9
    assert found["logged"].off < -0.10


def test_propensities_from_few_draws_are_noticeably_biased(world: SlateWorld) -> None:
    rng = np.random.default_rng(4)
    guess = np.maximum(np.stack([rng.multinomial(100, column) for column in world.logged.T], axis=1), 1) / 100
    found = biases(world, 8, 20_000, {"guessed": guess})
    assert [abs(each.z) > 4.9 for each in found if each.estimator == "ips"] == [False, True]


def test_the_doubly_robust_estimate_forgives_wrong_propensities_where_the_model_is_right(
    world: SlateWorld,
) -> None:
    shown, rewards = world.log(40_000, np.random.default_rng(5))
    truth = world.rates[:, None] * [1.0, 0.6, 0.4]
    expected = np.tile((world.target * truth).sum(axis=0), 40_000)
    wrong = world.rows(shown, rewards, np.sqrt(world.logged))
    modelled = replace(wrong, modelled=truth[shown, range(3)].reshape(-1), expected=expected)
    found = {
        name: each.value for name, each in evaluate(modelled, resampling=Resampling(2)).estimates.items()
    }
    true_value = world.value(world.target)
    # The standard error is near 1.5 %.
    assert found["doubly_robust"] == pytest.approx(true_value, rel=0.06)
    assert abs(found["ips"] / true_value - 1) > 0.4


def test_the_spread_of_a_plain_mean_is_that_of_theory() -> None:
    rng = np.random.default_rng(6)
    rows, ones = np.arange(3_000), np.full(3_000, 0.5)
    log = ShownItems(rows, rows, np.ones_like(rows), rng.normal(1, 2, 3_000), ones, ones)
    spread = resampled_estimates(session_sums(log), Resampling(2_000, seed=7))["logged"]
    # The spread of a spread from 2,000 replicates has a standard error of 1.6 %.
    assert spread.std() == pytest.approx(2 / np.sqrt(3_000), rel=0.08)


def test_requests_of_a_session_are_not_taken_for_independent() -> None:
    rng = np.random.default_rng(8)
    session = np.repeat(np.arange(500), 20)
    rewards = rng.normal(0, 1, 500)[session]
    ones = np.full(session.size, 0.5)
    log = ShownItems(session, np.arange(session.size), np.ones_like(session), rewards, ones, ones)
    spread = resampled_estimates(session_sums(log), Resampling(1_000))["logged"]
    assert spread.std() == pytest.approx(1 / np.sqrt(500), rel=0.15)


def test_the_same_seed_gives_the_same_intervals(world: SlateWorld) -> None:
    log = logged(world, 2_000, 9)
    assert evaluate(log) == evaluate(log)
    assert evaluate(log).estimates != evaluate(log, resampling=Resampling(seed=1)).estimates


def test_a_better_policy_is_called_better_and_the_way_back_worse(world: SlateWorld) -> None:
    found = evaluate(logged(world, 20_000, 10), resampling=QUICK)
    assert found.verdict.outcome is Outcome.BETTER
    assert found.verdict.may_ship
    assert found.gain is not None
    assert found.gain.low < world.value(world.target) / world.value(world.logged) - 1 < found.gain.high
    worst = (1 - world.target) / (1 - world.target).sum(axis=0)
    assert (
        evaluate(logged(world, 20_000, 10, target=worst), resampling=QUICK).verdict.outcome is Outcome.WORSE
    )


ENOUGH = Support(90_000, 80_000, 270_000, 5_000.0, 12.0, 1.0, 1.0, 0.3, 0.001)


@pytest.mark.parametrize(
    ("gain", "guardrail", "outcome"),
    [
        ((0.01, 0.2), 0.0, Outcome.BETTER),
        ((-0.2, -0.01), 0.05, Outcome.WORSE),
        ((-0.02, 0.2), 0.05, Outcome.NO_WORSE),
        ((-0.06, 0.2), 0.05, Outcome.UNDECIDED),
        ((-0.02, 0.2), 0.0, Outcome.UNDECIDED),
    ],
)
def test_the_interval_of_the_gain_decides(
    gain: tuple[float, float], guardrail: float, outcome: Outcome
) -> None:
    verdict = judge(Gate(guardrail=guardrail), ENOUGH, gain)
    assert verdict.outcome is outcome
    assert verdict.may_ship == (gain[0] > 0 or outcome is Outcome.NO_WORSE)


@pytest.mark.parametrize(
    ("lack", "said"),
    [
        ({"effective": 412.0}, "effective sample size is 412 of 90000 requests .* about 2.4 times as much"),
        ({"effective": 0.0}, "effective sample size is 0"),
        ({"unsupported": 0.031}, r"3\.1% of the target's probability .* at most 1\.0% may"),
        ({"unsupported": None}, "give the column unsupported"),
        ({"mean_weight": 1.3, "mean_weight_z": 12.0}, r"weights average 1\.300 where 1\.000 .*\+12\.0 stand"),
    ],
)
def test_a_thin_log_is_refused_with_what_is_missing(lack: dict[str, float | None], said: str) -> None:
    verdict = judge(Gate(), replace(ENOUGH, **lack), (0.1, 0.2))  # type: ignore[arg-type]
    assert verdict.outcome is Outcome.REFUSED
    assert not verdict.may_ship
    assert len(verdict.missing) == 1
    assert re.search(said, verdict.missing[0])


def test_all_that_is_missing_is_said_at_once() -> None:
    thin = replace(ENOUGH, effective=3.0, unsupported=0.5, mean_weight_z=-9.0)
    assert len(judge(Gate(), thin, None).missing) == 4


def test_thresholds_are_arguments() -> None:
    thin = replace(ENOUGH, effective=412.0, unsupported=0.031)
    assert judge(Gate(400, 0.05), thin, (0.1, 0.2)).outcome is Outcome.BETTER
    for wrong in ({"least_effective": -1}, {"most_unsupported": float("nan")}, {"guardrail": -0.1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Gate(**wrong)


def test_items_that_could_not_be_logged_are_counted(world: SlateWorld) -> None:
    logged, target = (
        np.array([[0.5, 0], [0.5, 0.2], [0, 0.8]]),
        np.array([[0.2, 0.3], [0.5, 0.3], [0.3, 0.4]]),
    )
    assert unsupported_mass(target, logged).tolist() == pytest.approx([0.3, 0.3])
    # The policy that logs is cut to four items; the target shows others as well.
    kept = np.argsort(-world.logged.sum(axis=1))[:4]
    cut = np.zeros_like(world.logged)
    cut[kept] = world.logged[kept] / world.logged[kept].sum(axis=0)
    shown = np.stack([np.random.default_rng(1).choice(30, 9_000, p=column) for column in cut.T], axis=1)
    found = evaluate(world.rows(shown, np.ones(shown.shape), cut), resampling=QUICK)
    assert found.support.unsupported == pytest.approx(unsupported_mass(world.target, cut).mean())
    assert abs(found.support.mean_weight_z) < 4.9
    assert found.verdict.outcome is Outcome.REFUSED


@pytest.mark.parametrize("lie", ["the even share", "the rank forgotten"])
def test_wrong_propensities_are_noticed_by_their_weights(world: SlateWorld, lie: str) -> None:
    shown, rewards = world.log(20_000, np.random.default_rng(12))
    claimed = np.full_like(world.logged, 1 / 30)
    if lie == "the rank forgotten":
        claimed = np.minimum(world.logged.sum(axis=1, keepdims=True) * np.ones(3), 1)
    found = evaluate(world.rows(shown, rewards, claimed), resampling=QUICK)
    assert abs(found.support.mean_weight_z) > 4.9
    assert any("not those of the policy that logged" in each for each in found.verdict.missing)


def test_a_log_without_reward_is_not_compared() -> None:
    found = evaluate(replace(HAND, reward=np.zeros(5)), FEW)
    assert found.gain is None
    assert any("no reward" in each for each in found.verdict.missing)


def test_equal_weights_count_in_full_and_one_heavy_weight_as_one() -> None:
    assert effective_size(np.full(50, 3.0)) == pytest.approx(50)
    assert effective_size(np.array([1e6, 1.0, 1.0])) == pytest.approx(1, abs=1e-4)
    assert effective_size(np.zeros(4)) == 0


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("logged", 0.0, r"logged of row 2 is 0.0; it must lie in \(0, 1\]"),
        ("logged", 1.2, "logged of row 2"),
        ("target", -0.1, "target of row 2"),
        ("target", float("nan"), "target of row 2 is nan; it must be finite"),
        ("reward", float("inf"), "reward of row 2"),
        ("unsupported", 2.0, "unsupported of row 2"),
        ("position", 0, "positions count from 1"),
        ("session", 5, "request 2 stands in two sessions"),
    ],
)
def test_a_bad_row_is_named(column: str, value: float, said: str) -> None:
    bad = getattr(HAND, column).copy()
    bad[2] = value
    with pytest.raises(ValueError, match=said):
        evaluate(replace(HAND, **{column: bad}))


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="column reward has shape"):
        replace(HAND, reward=np.ones(4))
    with pytest.raises(ValueError, match="both columns"):
        replace(HAND, modelled=None)
    nothing = np.empty(0, dtype=np.int64)
    with pytest.raises(ValueError, match="empty"):
        ShownItems(nothing, nothing, nothing, np.empty(0), np.empty(0), np.empty(0))


@pytest.mark.parametrize("wrong", [{"replicates": 1}, {"confidence": 1.0}, {"confidence": 0.0}])
def test_resampling_that_says_nothing_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Resampling(**wrong)  # type: ignore[arg-type]


def test_weights_that_are_off_by_rounding_alone_are_right() -> None:
    count = np.arange(400)
    logged = np.full(400, 0.3)
    same = ShownItems(
        count, count, np.ones(400, np.int64), np.ones(400), logged, logged * (1 + 1e-12), np.zeros(400)
    )
    off = replace(same, target=logged * 1.01)
    assert measure_support(same).mean_weight_z == 0.0
    assert measure_support(off).mean_weight_z > 4.9

"""From absolute counts to posteriors: repeats are harmless, snapshots never change."""

from random import Random

import msgspec
import numpy as np
import pytest

from nearcast_bandit.exposure import Buckets, exposures
from nearcast_config.policy import Exposure, Kind, Policy
from nearcast_ledger.kinds import APPLY, IMPRESSION, SAVE, VIEW
from nearcast_server.evidence import Beliefs, Evidence, Learner
from nearcast_store.counting.exposing import exposure_rules
from nearcast_store.counting.protocol import CountRow
from tests.unit.server.scene import HOUR, NOW, make_count, make_policy, make_revision

POSTINGS = list(range(1, 9))


def some_counts(seed: int = 3) -> list[CountRow]:
    random = Random(seed)
    return [
        CountRow(posting, 0, kind, HOUR - random.randrange(200), random.randint(1, 20), 1, False, count)
        for posting in POSTINGS
        for kind in (IMPRESSION, VIEW, SAVE, APPLY)
        if (count := random.randint(0, 40))
    ]


def learn(rows: list[CountRow], policy: Policy | None = None) -> Learner:
    learner = Learner()
    learner.follow(make_revision(policy), NOW)
    learner.learn(rows)
    return learner


def beliefs(learner: Learner) -> Beliefs:
    return learner.evidence(NOW).beliefs(POSTINGS)


def assert_same(one: Beliefs, two: Beliefs) -> None:
    for name in ("exposures", "successes", "a", "b"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "exposure",
    [Exposure(), Exposure(half_life_hours=0.0), Exposure(mode="pbm", position_curve=(1.0, 0.5, 0.2))],
)
def test_evidence_is_what_the_counts_come_to_under_the_policy(exposure: Exposure) -> None:
    policy, rows = make_policy(exposure=exposure), some_counts()
    found = beliefs(learn(rows, policy))
    columns = np.array(rows, dtype=np.int64).T
    for row, (number, rule) in enumerate(zip(found.numbers, exposure_rules(policy), strict=True)):
        shown, done = (np.where(columns[2] == kind, columns[7], 0) for kind in (IMPRESSION, number))
        buckets = Buckets(columns[0] - 1, columns[3], columns[4], shown, done)
        e, s = exposures(buckets, rule, NOW / 3600, len(POSTINGS))
        np.testing.assert_allclose(found.exposures[row], e, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found.successes[row], s, rtol=1e-9, atol=1e-9)


def test_counts_that_come_again_change_nothing() -> None:
    rows, learner = some_counts(), learn(some_counts())
    before = beliefs(learner)
    learner.learn(rows)
    learner.learn(rows[:5])
    assert_same(beliefs(learner), before)


def test_counts_are_absolute_so_order_and_portions_do_not_matter() -> None:
    rows = some_counts()
    half = [row._replace(count=row.count // 2) for row in rows]
    portions = learn(half)
    for row in reversed(rows):
        portions.learn([row])
    assert_same(beliefs(portions), beliefs(learn(rows)))


def test_a_complete_reload_forgets_what_is_no_longer_there() -> None:
    rows = some_counts()
    learner = learn(rows)
    learner.forget()
    learner.learn(rows[:6])
    assert_same(beliefs(learner), beliefs(learn(rows[:6])))
    learner.forget()
    learner.learn([])
    assert_same(beliefs(learner), beliefs(learn([])))


def test_a_snapshot_never_changes_once_made() -> None:
    learner = learn(some_counts())
    snapshot = learner.evidence(NOW)
    before = snapshot.beliefs([*POSTINGS, 900])
    learner.learn([make_count(posting, APPLY, 500) for posting in (*POSTINGS, 900)])
    assert_same(snapshot.beliefs([*POSTINGS, 900]), before)
    learner.forget()
    learner.learn([make_count(900, IMPRESSION, 5)])
    assert_same(snapshot.beliefs([*POSTINGS, 900]), before)


def nothing() -> list[Evidence]:
    return [learn([]).evidence(NOW), learn(some_counts()).evidence(NOW)]


@pytest.mark.parametrize("evidence", nothing(), ids=["nothing known", "others known"])
def test_a_posting_never_heard_of_has_its_prior(evidence: Evidence) -> None:
    found = evidence.beliefs([777])
    for row, kind in enumerate(Policy().kinds.values()):
        assert found.a[row, 0] == pytest.approx(kind.prior_mean * kind.prior_strength)
        assert found.b[row, 0] == pytest.approx((1 - kind.prior_mean) * kind.prior_strength)


def test_nobody_to_believe_anything_of_is_no_fault() -> None:
    assert learn([]).evidence(NOW).beliefs([]).a.shape == (3, 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_numbers_as_large_as_the_columns_of_counts_are_learned(sign: int) -> None:
    """Also when they are brought to another policy; nobody has such items, and one of them stops no other."""
    extreme = CountRow(2**63 - 1, sign * (2**31 - 1), IMPRESSION, HOUR - 48, 2**15 - 1, 2**15 - 1, True, 5)
    learner = learn([extreme, make_count(1, IMPRESSION, 5)])
    learner.follow(make_revision(make_policy(exposure=Exposure(half_life_hours=0.0)), number=2), NOW)
    assert learner.evidence(NOW).beliefs([1, extreme.posting]).exposures.min() > 0


def test_a_new_policy_is_applied_to_every_count_ever_learned() -> None:
    rows, learner = some_counts(), learn(some_counts())
    forgetful = make_policy(exposure=Exposure(half_life_hours=24.0), kinds={"save": Kind(weight=1.0)})
    learner.follow(make_revision(forgetful, number=2), NOW)
    assert_same(beliefs(learner), beliefs(learn(rows, forgetful)))
    assert beliefs(learner).kinds == ("save",)


def test_a_revision_that_says_the_same_keeps_what_is_known() -> None:
    learner = learn(some_counts())
    before = beliefs(learner)
    learner.follow(make_revision(number=2), NOW)
    assert_same(beliefs(learner), before)


def test_a_kind_that_joins_the_policy_later_finds_its_counts() -> None:
    rows = [make_count(1, IMPRESSION, 100), make_count(1, 5, 30)]
    learner = learn(rows)
    kinds = {**Policy().kinds, "shrug": Kind(weight=1.0)}
    learner.follow(make_revision(make_policy(kinds=kinds), number=2), NOW)
    found = learner.evidence(NOW).beliefs([1])
    assert found.successes[found.kinds.index("shrug"), 0] > 20


def test_evidence_before_any_policy_is_a_mistake_in_code() -> None:
    with pytest.raises(ValueError, match="no policy"):
        Learner().evidence(NOW)


def test_kinds_stand_in_the_policys_order_with_their_numbers_and_weights() -> None:
    found = learn([]).evidence(NOW)
    assert found.kinds == tuple(Policy().kinds)
    assert found.numbers == (VIEW, SAVE, APPLY)
    assert found.weights == tuple(kind.weight for kind in Policy().kinds.values())
    assert msgspec.structs.asdict(Policy().kinds["view"])["prior_mean"] == found.priors.otherwise[0].mean

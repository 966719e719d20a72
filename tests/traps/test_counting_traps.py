"""Ways in which evidence goes wrong unnoticed: position, maturity, decay, counters."""

from collections.abc import Callable

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.evidence import EvidenceTable
from nearcast_bandit.exposure import Buckets, ExposureRule, exposures

NOW = 480_000.0
RATE, DELAY_HOURS = 0.03, 6.0

Rate = Callable[[Buckets, float], float]
"""The rate of one item that an implementation sees, at a time in hours."""


def _matured(rule: ExposureRule) -> Rate:
    def rate(buckets: Buckets, now: float) -> float:
        exposed, succeeded = exposures(buckets, rule, now, 1)
        return float(succeeded[0] / exposed[0])

    return rate


def _at_face_value(buckets: Buckets, now: float) -> float:
    return float(buckets.successes.sum() / buckets.impressions.sum())


# Impressions at face value: young items look bad, and so do those at the foot of a slate.


def is_fair_to_the_young(rate: Rate) -> bool:
    """One hour after 400,000 impressions, when hardly any success can have come, the rate is the true one."""
    rng, impressions = np.random.default_rng(3), 400_000
    for age_hours in (1.0, 6.0, 48.0):
        shown_at = rng.random(impressions)
        came = rng.random(impressions) < RATE
        done = came & (shown_at + rng.exponential(DELAY_HOURS, impressions) < age_hours)
        seen = shown_at < age_hours
        buckets = _line(int(NOW), 1, int(seen.sum()), int((done & seen).sum()))
        if abs(rate(buckets, NOW + age_hours) - RATE) > 0.004:
            return False
    return True


def test_young_items_are_not_judged_before_successes_can_have_come() -> None:
    assert is_fair_to_the_young(_matured(ExposureRule(maturity_mean_hours=DELAY_HOURS)))
    assert not is_fair_to_the_young(_at_face_value)


def is_fair_to_low_places(rate: Rate) -> bool:
    """The same item shown first and shown tenth has the same rate."""
    rng, shown = np.random.default_rng(4), 400_000
    found = [
        rate(_line(int(NOW) - 99, place, shown, int(rng.binomial(shown, RATE / place))), NOW)
        for place in (1, 10)
    ]
    return abs(found[0] / found[1] - 1) < 0.1


def test_low_places_are_not_taken_for_bad_items() -> None:
    curve = tuple(1 / place for place in range(1, 11))
    assert is_fair_to_low_places(_matured(ExposureRule(position_curve=curve)))
    assert not is_fair_to_low_places(_at_face_value)


def does_not_inflate_the_slow(rate: Rate) -> bool:
    """An item whose successes take a week is not better than its rate, however fast evidence fades."""
    hours = np.arange(24 * 28)
    lines = [_line(int(NOW) - 24 * 28 + int(hour), 1, 10_000, int(10_000 * RATE)) for hour in hours]
    merged = Buckets(*(np.concatenate([getattr(each, name) for each in lines]) for name in _COLUMNS))
    return abs(rate(merged, NOW) - RATE) < 0.002


def test_a_success_fades_with_its_impression_and_not_with_its_own_time() -> None:
    half_life_hours, week = 48.0, 168.0

    def by_own_time(buckets: Buckets, now: float) -> float:
        kept = 2.0 ** (-(now - buckets.bucket) / half_life_hours)
        late = 2.0 ** (-np.maximum(now - buckets.bucket - week, 0) / half_life_hours)
        return float((buckets.successes * late).sum() / (buckets.impressions * kept).sum())

    assert does_not_inflate_the_slow(_matured(ExposureRule(half_life_hours=half_life_hours)))
    assert not does_not_inflate_the_slow(by_own_time)


# Counters in float32, and decay on a timer.


def counts_to_the_end(add: Callable[[int], float]) -> bool:
    """Twenty million single counts are twenty million."""
    return add(20_000_000) == 20_000_000


def test_counters_do_not_stop_at_the_end_of_a_float32() -> None:
    def ours(count: int) -> float:
        table = EvidenceTable([ExposureRule()], int(NOW))
        table.add_impressions(0, int(NOW) - 1, 1, count - 1_000)
        for _ in range(1_000):
            table.add_impressions(0, int(NOW) - 1, 1, 1)
        return float(table.at(NOW)[0][0, 0])

    def single(count: int) -> float:
        kept = np.float32(16_777_216 - 3)
        for _ in range(count - 16_777_213):
            if kept == kept + np.float32(1):
                break
            kept += np.float32(1)
        return float(kept)

    assert counts_to_the_end(ours)
    assert not counts_to_the_end(single)


def is_the_same_whenever_it_looks(state: Callable[[list[float]], Floats]) -> bool:
    """Looked at once or a thousand times on the way, after a restart or not: the same evidence at the end."""
    rng = np.random.default_rng(6)
    once, often = state([NOW + 100]), state([*np.sort(NOW + rng.random(1_000) * 100).tolist(), NOW + 100])
    return bool(np.allclose(once, often, rtol=1e-12, atol=0))


def test_decay_does_not_depend_on_a_timer() -> None:
    rule = ExposureRule(half_life_hours=24.0)

    def ours(looks: list[float]) -> Floats:
        table = EvidenceTable([rule], int(NOW))
        table.add_impressions(0, int(NOW) - 5, 1, 1_000)
        for look in looks:
            found = table.at(look)[0][0]
        return found

    def by_timer(looks: list[float]) -> Floats:
        kept, last = 1_000.0, NOW
        for look in looks:
            kept, last = float(np.float32(kept * 2.0 ** (-max(round(look - last, 1), 0.0) / 24.0))), look
        return np.array([kept])

    assert is_the_same_whenever_it_looks(ours)
    assert not is_the_same_whenever_it_looks(by_timer)


_COLUMNS = ("row_index", "bucket", "position_bucket", "impressions", "successes")


def _line(bucket: int, position: int, impressions: int, successes: int) -> Buckets:
    return Buckets(*(np.array([value]) for value in (0, bucket, position, impressions, successes)))

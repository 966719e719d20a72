"""Whatever the log, an evaluation depends on neither the order of rows nor the names of things."""

from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_bandit.evaluation.bootstrap import Resampling
from nearcast_bandit.evaluation.logged import ShownItems
from nearcast_bandit.evaluation.report import Evaluation, evaluate

RESAMPLING = Resampling(20)


@st.composite
def logs(draw: st.DrawFn) -> ShownItems:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    requests, length = draw(st.integers(1, 30)), draw(st.integers(1, 4))
    request = np.repeat(np.arange(requests), length)
    logged = rng.uniform(0.01, 1, request.size)
    return ShownItems(
        session=rng.integers(0, 9, requests)[request],
        request=request,
        position=np.tile(np.arange(1, length + 1), requests),
        reward=rng.integers(0, 3, request.size).astype(float),
        logged=logged,
        target=rng.uniform(0, 1, request.size),
        unsupported=rng.uniform(0, 0.01, request.size),
        modelled=rng.uniform(0, 1, request.size),
        expected=rng.uniform(0, 1, request.size),
    )


def taken(log: ShownItems, rows: np.ndarray) -> ShownItems:
    return ShownItems(**{field.name: getattr(log, field.name)[rows] for field in fields(log)})


def values(found: Evaluation) -> dict[str, float]:
    return {name: each.value for name, each in found.estimates.items()}


@settings(max_examples=40, deadline=None)
@given(logs(), st.integers(0, 100))
def test_the_order_of_rows_does_not_matter(log: ShownItems, seed: int) -> None:
    mixed = taken(log, np.random.default_rng(seed).permutation(log.session.size))
    one, other = evaluate(log, resampling=RESAMPLING), evaluate(mixed, resampling=RESAMPLING)
    assert values(one) == pytest.approx(values(other))
    assert one.verdict.outcome == other.verdict.outcome
    assert one.support.effective == pytest.approx(other.support.effective)


@settings(max_examples=40, deadline=None)
@given(logs())
def test_a_log_told_twice_says_the_same_on_twice_the_evidence(log: ShownItems) -> None:
    twice = taken(log, np.tile(np.arange(log.session.size), 2))
    half = log.session.size
    twice.request[half:] += 1000
    twice.session[half:] += 1000
    one, both = evaluate(log, resampling=RESAMPLING), evaluate(twice, resampling=RESAMPLING)
    assert values(one) == pytest.approx(values(both))
    assert both.support.effective == pytest.approx(2 * one.support.effective)


@settings(max_examples=40, deadline=None)
@given(logs(), st.floats(0.1, 10))
def test_rewards_in_another_unit_scale_every_estimate_and_no_verdict(log: ShownItems, unit: float) -> None:
    assert log.modelled is not None
    assert log.expected is not None
    scaled = replace(
        log, reward=log.reward * unit, modelled=log.modelled * unit, expected=log.expected * unit
    )
    one, other = evaluate(log, resampling=RESAMPLING), evaluate(scaled, resampling=RESAMPLING)
    assert values(other) == pytest.approx({name: value * unit for name, value in values(one).items()})
    assert one.verdict == other.verdict


@settings(max_examples=40, deadline=None)
@given(logs())
def test_an_estimate_is_never_refused_without_a_reason(log: ShownItems) -> None:
    verdict = evaluate(log, resampling=RESAMPLING).verdict
    assert (verdict.outcome == "refused") == bool(verdict.missing)

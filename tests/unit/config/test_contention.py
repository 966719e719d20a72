"""Which policies can be tried beside the one in force."""

import pytest

from nearcast_config.contention import believes_alike, shadow_problems, split_problems
from nearcast_config.policytext import load_policy_text

IN_FORCE = load_policy_text("[scenarios.home]\n[markets.oslo]\nfeeds = ['draw']\n")
HOME = "[scenarios.home]\n"
OSLO = "[markets.oslo]\nfeeds = ['draw']\n"


def keys(text: str, in_force: str = HOME + OSLO) -> list[str]:
    problems = split_problems(load_policy_text(in_force), load_policy_text(text))
    return [problem.key for problem in problems]


def test_what_is_decided_for_each_session_may_differ() -> None:
    text = (
        "[kinds.apply]\nweight = 9\n[exploration]\nshare = 0.1\nsharpness = 0.5\n"
        "[scenarios.home]\nlimit = 7\n[markets.bergen]\nfeeds = ['draw']\n[slate]\ndefault_limit = 30\n"
    )
    assert keys(text + OSLO) == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[kinds.view]\nprior_mean = 0.2\n", "policy.kinds.view.prior_mean"),
        ("[kinds.save]\nmaturity_hours = 9\n", "policy.kinds.save.maturity_hours"),
        ("[exposure]\nhalf_life_hours = 5\n", "policy.exposure.half_life_hours"),
        ("[priors]\nmode = 'learned'\n", "policy.priors.mode"),
        ("[master]\nprior_mean = 0.5\n", "policy.master.prior_mean"),
        ("[attribution]\nwindow_hours = 5\n", "policy.attribution.window_hours"),
        ("[seen]\nmost = 5\n", "policy.seen.most"),
    ],
)
def test_what_is_counted_or_believed_is_one_for_both(text: str, key: str) -> None:
    assert keys(text + HOME + OSLO) == [key]


def test_both_have_to_mean_the_same_by_people_who_leave() -> None:
    cascade, named = '[exposure]\nmode = "cascade"\n', 'stops_at = ["apply"]\n'
    weightless = "[kinds.save]\nweight = 0\n"
    assert keys(cascade + weightless, cascade) == ["policy.kinds.save.weight"]
    assert keys(cascade + "[kinds.save]\nweight = 9\n", cascade) == []
    assert keys(cascade + named + weightless, cascade + named) == []
    assert keys(weightless, "") == []


def test_a_kind_of_its_own_is_refused() -> None:
    assert "policy.kinds.call.prior_mean" in keys("[kinds.call]\nweight = 3\n" + HOME + OSLO)


def test_a_surface_that_is_missing_is_refused() -> None:
    assert keys("[slate]\ndefault_limit = 3\n" + OSLO)[0] == "policy.scenarios.home"


def test_equal_policies_have_nothing_to_compare() -> None:
    assert keys(OSLO + HOME) == ["policy"]


@pytest.mark.parametrize(
    ("frozen", "key"),
    [
        ("[master]\nfrozen = true\n", "policy.master.frozen"),
        ("[markets.oslo]\nfrozen = true\n", "policy.markets.oslo.frozen"),
    ],
)
def test_nothing_is_tried_beside_what_is_frozen(frozen: str, key: str) -> None:
    contender = load_policy_text(frozen + "[slate]\ndefault_limit = 3\n")
    assert [problem.key for problem in split_problems(load_policy_text(frozen), contender)] == [key]


def test_a_shadow_may_believe_otherwise_where_nothing_has_to_be_fitted() -> None:
    fixed = load_policy_text("[kinds.view]\nprior_mean = 0.2\n" + HOME + OSLO)
    learned = load_policy_text("[priors]\nmode = 'learned'\n" + HOME + OSLO)
    assert not shadow_problems(IN_FORCE, fixed)
    assert not shadow_problems(learned, IN_FORCE)
    assert [problem.key for problem in shadow_problems(IN_FORCE, learned)] == ["policy.priors.mode"]
    assert not believes_alike(IN_FORCE, fixed)
    assert not believes_alike(learned, IN_FORCE)
    assert believes_alike(IN_FORCE, load_policy_text("[kinds.view]\nweight = 9\n" + HOME + OSLO))

"""Rules of exposure: what cannot be is refused, what is probably not meant is warned about, by key."""

import msgspec
import pytest

from nearcast_config.consistency import policy_warnings
from nearcast_config.exposurerules import thin_evidence
from nearcast_config.mastery import Market, MarketKind
from nearcast_config.policy import Exposure, Kind, Policy, Priors
from nearcast_config.policytext import load_policy_text, policy_to_toml
from nearcast_config.problems import SettingsError

WEIGHTLESS = "".join(f"[kinds.{kind}]\nweight = 0\n" for kind in ("view", "save", "apply"))
WEIGHTLESS += '[feeds.new]\norder = "newest"\n'
AT_ONCE = "[kinds.save]\nmaturity_hours = 0\n[kinds.apply]\nmaturity_hours = 0\n"
FITTED = '[exposure]\nmode = "pbm"\nposition_curve = "fitted"\n'
CASCADE = '[exposure]\nmode = "cascade"\n'


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (FITTED + "[exploration]\nshare = 0", "exposure.position_curve", "there is nothing to fit from"),
        ('[exposure]\nposition_curve = "fitted"', "exposure.position_curve", 'got "fitted" with "seen"'),
        (FITTED + WEIGHTLESS, "exposure.position_curve", "no success would be counted"),
        ('[exposure]\nposition_curve = "fited"', "exposure.position_curve", 'or "fitted", got'),
        ("[exposure]\nstarting_curve = [1]", "exposure.starting_curve", "nothing would replace it"),
        ("[exposure]\ncurve_evidence = 3", "exposure.curve_evidence", "in [20, 1000000], got 3"),
        (CASCADE + "position_curve = [1, 0.5]", "exposure.position_curve", "must be left out while"),
        (CASCADE + WEIGHTLESS, "exposure.stops_at", "nobody would leave"),
        (CASCADE + 'stops_at = ["aply"]', "exposure.stops_at", "'aply' is not known; did you mean apply?"),
        (CASCADE + 'stops_at = ["save", "save"]', "exposure.stops_at", "must name each kind once"),
        ('[exposure]\nstops_at = ["save"]', "exposure.stops_at", 'unless exposure.mode is "cascade"'),
        ("[markets.oslo.kinds.aply]\nprior_mean = 0.1", "markets.oslo.kinds.aply", "did you mean apply?"),
        (
            "[markets.oslo.kinds.view]\nprior_mean = 1",
            "markets.oslo.kinds.view.prior_mean",
            "in (0, 1), got 1",
        ),
        (
            "[markets.oslo]\nhalf_life_hours = -1",
            "markets.oslo.half_life_hours",
            "in [0, 87600] hours, got -1",
        ),
    ],
)
def test_what_cannot_be_is_refused(text: str, key: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_policy_text(text)
    (problem,) = caught.value.problems
    assert problem.key == f"policy.{key}"
    assert message in problem.message


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (
            '[exposure]\nmode = "pbm"\nposition_curve = [1, 0.5, 0.6]',
            "exposure.position_curve",
            "rises from 0.5 at position 2 to 0.6 at 3",
        ),
        (FITTED + "starting_curve = [0.5, 1]", "exposure.starting_curve", "rises from 0.5 at position 1"),
        (
            "[markets.oslo]\nhalf_life_hours = 3",
            "markets.oslo.half_life_hours",
            "3.0 is shorter than kinds.apply.maturity_hours (6.0)",
        ),
        (
            "[markets.oslo.kinds.view]\nprior_strength = 9000",
            "markets.oslo.kinds.view.prior_strength",
            "drowns the evidence",
        ),
        (
            AT_ONCE + "[exposure]\nhalf_life_hours = 0.001",
            "exposure.half_life_hours",
            "0.001 is less than an hour: an item that is seen n times an hour never holds more evidence",
        ),
        (
            AT_ONCE + "[markets.oslo]\nhalf_life_hours = 0.5",
            "markets.oslo.half_life_hours",
            "0.5 is less than an hour",
        ),
    ],
)
def test_what_is_probably_not_meant_is_warned_about(text: str, key: str, message: str) -> None:
    (warning,) = policy_warnings(load_policy_text(text))
    assert warning.key == f"policy.{key}"
    assert message in warning.message


@pytest.mark.parametrize(
    "text",
    [
        FITTED + "starting_curve = [1, 0.7]",
        CASCADE + 'stops_at = ["save"]',
        CASCADE,
        "[markets.oslo]\nhalf_life_hours = 0\n[markets.oslo.kinds.view]\nprior_mean = 0.2",
    ],
)
def test_what_can_be_is_allowed_and_survives_as_text(text: str) -> None:
    policy = load_policy_text(text)
    assert policy_warnings(policy) == ()
    assert load_policy_text(policy_to_toml(policy)) == policy


def thin(policy: Policy, **shown: float) -> list[tuple[str, str]]:
    rates = {name.replace("anywhere", ""): rate for name, rate in shown.items()}
    return [(each.key, each.message) for each in thin_evidence(policy, rates)]


TWO_KINDS = Policy(
    kinds={
        "view": Kind(weight=1.0, prior_strength=20.0),
        "apply": Kind(weight=5.0, prior_strength=100.0),
        "hide": Kind(prior_strength=5000.0),
    },
    exposure=Exposure(half_life_hours=2.0),
)


def test_a_half_life_that_leaves_less_than_the_priors_is_told_with_real_traffic() -> None:
    ((key, message),) = thin(TWO_KINDS, anywhere=1.0)
    assert key == "policy.exposure.half_life_hours"
    assert "2 leaves about 2.9 impressions of evidence per item" in message
    assert "against priors of apply 100, view 20" in message
    ((_, message),) = thin(TWO_KINDS, anywhere=10.0)
    assert "priors of apply 100:" in message
    assert thin(TWO_KINDS, anywhere=100.0) == []


def test_nothing_is_said_without_traffic_or_forgetting() -> None:
    assert thin(TWO_KINDS) == []
    forever = msgspec.structs.replace(TWO_KINDS, exposure=Exposure(half_life_hours=0.0))
    assert thin(forever, anywhere=0.01) == []


def test_a_market_is_judged_by_its_own_half_life_traffic_and_priors() -> None:
    markets = {
        "oslo": Market(half_life_hours=4.0, kinds={"apply": MarketKind(prior_strength=10.0)}),
        "bergen": Market(half_life_hours=4.0),
        "quiet": Market(half_life_hours=4.0),
        "usual": Market(frozen=True),
    }
    policy = msgspec.structs.replace(TWO_KINDS, markets=markets)
    said = thin(policy, anywhere=100.0, oslo=4.0, bergen=4.0, usual=0.1)
    assert [key for key, _ in said] == ["policy.markets.bergen.half_life_hours"]


def test_where_priors_are_learned_the_least_strength_counts() -> None:
    policy = msgspec.structs.replace(TWO_KINDS, priors=Priors(mode="learned", strength_min=2.0))
    assert thin(policy, anywhere=1.0) == []

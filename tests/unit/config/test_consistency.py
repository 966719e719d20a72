"""What single ranges cannot say: each rule refuses its case, with the key and the consequence."""

import pytest

from nearcast_config.consistency import policy_warnings
from nearcast_config.policytext import default_policy, load_policy_text
from nearcast_config.problems import SettingsError

WEIGHTLESS = "[kinds.view]\nweight = 0\n[kinds.save]\nweight = 0\n[kinds.apply]\nweight = 0\n"


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("[radius]\nmax_m = 100", "radius.default_m", "at most radius.max_m (100.0 metres), got 5000.0"),
        ("[radius]\nwiden_factors = [3, 2]", "radius.widen_factors", "must rise from one to the next"),
        ("[slate]\nmax_limit = 10", "slate.default_limit", "at most slate.max_limit (10), got 20"),
        ("[kinds.impression]", "kinds.impression", "must be left out"),
        (WEIGHTLESS, "kinds", "feed draw draws by weighted kinds"),
        ('[exposure]\nmode = "pbm"', "exposure.position_curve", "at least one value"),
        (
            '[feeds.a]\norder = "newest"\nfloor = 0.6\n[feeds.b]\norder = "nearest"\nfloor = 0.4',
            "feeds",
            "a sum below 1, got 1 (a 0.6, b 0.4)",
        ),
        ('[feeds.explore]\norder = "newest"', "feeds.explore", "must have another name"),
        (
            '[feeds.a]\norder = "most"\nkind = "aply"',
            "feeds.a.kind",
            "'aply' is not known; did you mean apply?",
        ),
        ('[feeds.a]\norder = "most"\nkind = "impression"', "feeds.a.kind", "'impression' is not known"),
        ('[feeds.a]\norder = "most"', "feeds.a.kind", "must name a kind"),
        ('[feeds.a]\norder = "newest"\nkind = "view"', "feeds.a.kind", "it would be ignored"),
        (
            '[scenarios.home]\nfeeds = ["drew"]',
            "scenarios.home.feeds",
            "'drew' is not known; did you mean draw?",
        ),
        ('[scenarios.home]\nfeeds = ["draw", "draw"]', "scenarios.home.feeds", "must name each feed once"),
        ("[scenarios.home]\nradius_m = 0", "scenarios.home.radius_m", "in (0, 100000.0] metres"),
        ("[scenarios.home]\nradius_m = 100001", "scenarios.home.radius_m", "got 100001.0"),
        ("[scenarios.home]\nlimit = 0", "scenarios.home.limit", "in [1, 100] (slate.max_limit), got 0"),
        ("[scenarios.home]\nlimit = 101", "scenarios.home.limit", "got 101"),
        ("[scenarios.home]\nradius_m = nan", "scenarios.home.radius_m", "a number metres, got nan"),
        (
            f"[scenarios.home]\nradius_m = 1{'0' * 400}",
            "scenarios.home.radius_m",
            "a very large whole number",
        ),
        (f"[scenarios.home]\nlimit = 1{'0' * 400}", "scenarios.home.limit", "a very large whole number"),
    ],
)
def test_a_contradiction_is_refused(text: str, key: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_policy_text(text)
    (problem,) = caught.value.problems
    assert problem.key == f"policy.{key}"
    assert message in problem.message


@pytest.mark.parametrize(
    "text",
    [
        '[exposure]\nmode = "pbm"\nposition_curve = [1, 0.5]',
        WEIGHTLESS + '[feeds.newest]\norder = "newest"',
        '[feeds.draw]\norder = "draw"\nfloor = 0.99',
        "[scenarios.home]\nradius_m = 100000\nlimit = 100",
        "[radius]\ndefault_m = 100\nmax_m = 100\nwiden_factors = []",
    ],
)
def test_the_edge_of_a_rule_is_allowed(text: str) -> None:
    load_policy_text(text)


def test_contradictions_are_reported_together() -> None:
    with pytest.raises(SettingsError) as caught:
        load_policy_text("[radius]\nmax_m = 1\n[slate]\nmax_limit = 1\n[kinds.impression]\n")
    assert len(caught.value.problems) == 3


def test_the_default_policy_gives_no_warning() -> None:
    assert policy_warnings(default_policy()) == ()


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("[kinds.view]\nprior_strength = 9000", "kinds.view.prior_strength", "drowns the evidence"),
        ("[exposure]\nhalf_life_hours = 3", "exposure.half_life_hours", "kinds.apply.maturity_hours (6.0)"),
        ("[attribution]\nwindow_hours = 2", "attribution.window_hours", "too late to be learned from"),
        ("[exploration]\nshare = 0", "exploration.share", "no uniform shuffles"),
    ],
)
def test_what_is_probably_not_meant_is_warned_of(text: str, key: str, message: str) -> None:
    (warning,) = policy_warnings(load_policy_text(text))
    assert warning.key == f"policy.{key}"
    assert message in warning.message

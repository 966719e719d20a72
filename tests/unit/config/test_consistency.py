"""What single ranges cannot say: each rule refuses its case, with the key and the consequence."""

import pytest

from nearcast_config.consistency import policy_warnings
from nearcast_config.policytext import default_policy, load_policy_text
from nearcast_config.problems import SettingsError

LEARNED = '[priors]\nmode = "learned"\n'
CONDITIONAL = '[feeds.a]\norder = "draw"\nmin_candidates = 9\n'
WEIGHTLESS = "[kinds.view]\nweight = 0\n[kinds.save]\nweight = 0\n[kinds.apply]\nweight = 0\n"


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("[radius]\nmax_m = 100", "radius.default_m", "at most radius.max_m (100.0 metres), got 5000.0"),
        ("[radius]\nwiden_factors = [3, 2]", "radius.widen_factors", "must rise from one to the next"),
        ("[slate]\nmax_limit = 10", "slate.default_limit", "at most slate.max_limit (10), got 20"),
        ("[kinds.impression]", "kinds.impression", "must be left out"),
        (WEIGHTLESS, "kinds", "feed draw goes by weighted kinds"),
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
        (
            '[feeds.a]\norder = "popluar"',
            "feeds.a.order",
            "must be one of nearest, newest, most, popular, draw: 'popluar' is not known; did",
        ),
        (
            WEIGHTLESS + '[feeds.a]\norder = "popular"',
            "kinds",
            "feed a goes by weighted kinds",
        ),
        ('[feeds.a]\norder = "newest"\nkind = "view"', "feeds.a.kind", "it would be ignored"),
        (
            '[scenarios.home]\nfeeds = ["drew"]',
            "scenarios.home.feeds",
            "'drew' is not known; did you mean draw?",
        ),
        ('[scenarios.home]\nfeeds = ["draw", "draw"]', "scenarios.home.feeds", "must name each feed once"),
        ("[scenarios.home]\nradius_m = 0", "scenarios.home.radius_m", "in (0, 100000.0] metres"),
        ("[scenarios.home]\nradius_m = 100001", "scenarios.home.radius_m", "got 100001.0"),
        (
            "[priors]\nstrength_min = 50\nstrength_max = 50",
            "priors.strength_min",
            "must be below priors.strength_max (50.0), got 50.0",
        ),
        (LEARNED + "[newcomers]\nbeats_incumbent = 0.0001", "newcomers.beats_incumbent", "must be 0 or in"),
        ("[newcomers]\nbeats_incumbent = 0.1", "newcomers.beats_incumbent", 'needs priors.mode "learned"'),
        ("[scenarios.home]\nlimit = 0", "scenarios.home.limit", "in [1, 100] (slate.max_limit), got 0"),
        ("[scenarios.home]\nlimit = 101", "scenarios.home.limit", "got 101"),
        ("[scenarios.home]\nradius_m = nan", "scenarios.home.radius_m", "a number metres, got nan"),
        (
            f"[scenarios.home]\nradius_m = 1{'0' * 400}",
            "scenarios.home.radius_m",
            "a very large whole number",
        ),
        (f"[scenarios.home]\nlimit = 1{'0' * 400}", "scenarios.home.limit", "a very large whole number"),
        ('[markets."o.1"]\nfeeds = ["drew"]', "markets.o.1.feeds", "'drew' is not known; did you mean draw?"),
        ('[markets.oslo]\nfeeds = ["draw", "draw"]', "markets.oslo.feeds", "must name each feed once"),
        (
            '[markets.oslo]\nfeeds = ["draw"]\n[scenarios.map]\nfeeds = ["nearest"]',
            "markets.oslo.feeds",
            "must share a feed with scenarios.map.feeds (nearest), got draw",
        ),
        (
            '[feeds.draw]\norder = "draw"\nneeds = ["person", "person"]\n[feeds.a]\norder = "newest"',
            "feeds.draw.needs",
            "must name each need once",
        ),
        (
            '[feeds.draw]\norder = "draw"\nneeds = ["person"]',
            "scenarios.default.feeds",
            "must hold a feed without needs and min_candidates, got draw: some requests could",
        ),
        (
            CONDITIONAL + '[feeds.b]\norder = "newest"\n[markets.oslo]\nfeeds = ["a"]',
            "scenarios.default.feeds",
            "got a in market oslo",
        ),
        ('[segments]\nnames = ["a", "a"]', "segments.names", "must name each segment once, got a, a"),
        ('[master]\ndefault_feed = "drew"', "master.default_feed", "'drew' is not known; did you mean draw?"),
        (
            '[master]\nholdout_share = 0.1\n[feeds.holdout]\norder = "newest"',
            "feeds.holdout",
            "must have another name while master.holdout_share is above 0",
        ),
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
        (LEARNED + "[newcomers]\nbeats_incumbent = 0.6", "newcomers.beats_incumbent", "flood the slates"),
        (LEARNED + "strength_min = 6000", "priors.strength_min", "6000.0 drowns the evidence"),
        (
            LEARNED + "fit_every_hours = 30\n[exposure]\nhalf_life_hours = 25",
            "priors.fit_every_hours",
            "has faded before the next one",
        ),
        (
            LEARNED + "[exposure]\nhalf_life_hours = 12",
            "exposure.half_life_hours",
            "never holds more evidence than 17.3 n impressions",
        ),
        (
            '[segments]\nnames = ["a"]\nparent_strength = 9000',
            "segments.parent_strength",
            "9000 drowns the evidence",
        ),
        (
            '[feeds.draw]\norder = "draw"\n'
            + "".join(f'[feeds.f{n}]\norder = "newest"\nmin_candidates = {n}\n' for n in range(1, 32))
            + '[scenarios.a]\nfeeds = ["draw", "f1", "f2"]\n'
            + "".join(f'[scenarios.s{n}]\nfeeds = ["draw", "f{n}", "f20"]\n' for n in range(3, 20)),
            "feeds",
            "different sets of feeds",
        ),
    ],
)
def test_what_is_probably_not_meant_is_warned_of(text: str, key: str, message: str) -> None:
    (warning,) = policy_warnings(load_policy_text(text))
    assert warning.key == f"policy.{key}"
    assert message in warning.message

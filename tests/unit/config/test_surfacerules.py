"""Filters and factors of a surface: what contradicts itself is refused, what is hardly meant is warned of."""

import msgspec
import pytest

from nearcast_config.consistency import policy_warnings
from nearcast_config.policy import Policy, Scenario
from nearcast_config.policydiff import policy_changes
from nearcast_config.policytext import (
    default_policy,
    load_policy_text,
    policy_from_json,
    policy_to_json,
    policy_to_toml,
)
from nearcast_config.problems import SettingsError
from nearcast_config.surfacing import Boost

HOME = """
[scenarios.home]
boosts = [
    { category = "food", factor = 1.5 },
    { tag = "late \\"night\\"", factor = 0.5 },
    { owner = "a", factor = 2 },
]
distance_half_m = 800
seen = "fade"
seen_fade = 0.2
exclude_item_ids = ["item-1"]
exclude_categories = ["ads"]
exclude_tags = ["adult"]
categories = ["food", "jobs"]
tags_all = ["open"]
tags_any = ["new", "late"]
"""


def home(line: str) -> Policy:
    return load_policy_text(f"[scenarios.home]\n{line}")


def test_a_surface_survives_toml_and_json() -> None:
    policy = load_policy_text(HOME)
    surface = policy.scenarios["home"]
    assert surface.boosts == (
        Boost(1.5, category="food"),
        Boost(0.5, tag='late "night"'),
        Boost(2.0, owner="a"),
    )
    assert (surface.seen_way, surface.seen_fade, surface.distance_half_m) == ("fade", 0.2, 800.0)
    assert load_policy_text(policy_to_toml(policy)) == policy
    assert policy_from_json(policy_to_json(policy)) == policy
    assert policy_warnings(policy) == ()


def test_a_changed_boost_is_told_as_toml_writes_it() -> None:
    before, after = (home(f'boosts = [{{ category = "food", factor = {factor} }}]') for factor in (1.5, 2.0))
    (change,) = policy_changes(before, after)
    assert str(change) == (
        "policy.scenarios.home.boosts: "
        '[{ factor = 1.5, category = "food" }] -> [{ factor = 2.0, category = "food" }]'
    )


@pytest.mark.parametrize(
    ("line", "key", "message"),
    [
        (
            "boosts = [{ factor = 2.0 }]",
            "boosts[0]",
            "exactly one of category, tag and owner, got none of them",
        ),
        (
            'boosts = [{ tag = "a", factor = 2.0 }, { category = "a", owner = "b", factor = 2.0 }]',
            "boosts[1]",
            "got category and owner: which items it is for would be a guess",
        ),
        (
            'boosts = [{ tag = "a", factor = 2.0 }, { tag = "a", factor = 3.0 }]',
            "boosts",
            "must name each category, tag and owner once, got tag 'a' 2 times",
        ),
        ('boosts = [{ tag = "a", factor = 0 }]', "boosts[0].factor", "a number in [0.01, 100], got 0"),
        ('boosts = [{ tag = "a", factor = -1.0 }]', "boosts[0].factor", "in [0.01, 100], got -1.0"),
        ('boosts = [{ tag = "a", factor = 100.5 }]', "boosts[0].factor", "in [0.01, 100], got 100.5"),
        ('boosts = [{ tag = "a", factor = nan }]', "boosts[0].factor", "in [0.01, 100], got nan"),
        ('boosts = [{ tag = "a", factor = inf }]', "boosts[0].factor", "in [0.01, 100], got inf"),
        ('boosts = [{ tag = "a", factor = "2" }]', "boosts[0].factor", "a number in [0.01, 100]"),
        ('boosts = [{ tag = "a" }]', "boosts[0].factor", "must be set"),
        ('boosts = [{ tagg = "a", factor = 2.0 }]', "boosts[0].tagg", "is not known; did you mean"),
        ('boosts = ["food"]', "boosts[0]", "must be a table, got text"),
        ("boosts = 2", "boosts", "at most 64 of: a table of factor, category, tag, owner, got 2"),
        ("distance_half_m = -1", "distance_half_m", "in [0, 500000] metres, got -1"),
        ("distance_half_m = nan", "distance_half_m", "in [0, 500000] metres, got nan"),
        ('seen = "hide"', "seen", 'one of "fade", "leave_out", "show"'),
        ("seen_fade = 0", "seen_fade", "a number in (0, 1], got 0"),
        ("seen_fade = 1.5", "seen_fade", "a number in (0, 1], got 1.5"),
        ('seen = "fade"\nexclude_seen = true', "exclude_seen", "what is left out cannot fade"),
        ('categories = ["a"]\nexclude_categories = ["a", "b"]', "exclude_categories", "got 'a' in both"),
        ('tags_all = ["a"]\nexclude_tags = ["a"]', "exclude_tags", "must share nothing with tags_all"),
        ('tags_any = ["a", "b"]\nexclude_tags = ["b"]', "exclude_tags", "got 'b' in both"),
        ('categories = [""]', "categories[0]", "text of 1 or more characters"),
        ('exclude_item_ids = ["a b"]', "exclude_item_ids[0]", "text of the form"),
        (f"exclude_item_ids = {['x'] * 201}", "exclude_item_ids", "got 201 entries"),
    ],
)
def test_what_cannot_be_meant_is_refused(line: str, key: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        home(line)
    (problem,) = caught.value.problems
    assert problem.key == f"policy.scenarios.home.{key}"
    assert message in problem.message


@pytest.mark.parametrize(
    ("line", "key", "message"),
    [
        ('feeds = ["nearest"]\ndistance_half_m = 1000', "feeds", "holds no feed that draws"),
        ('feeds = ["newest"]\nseen = "fade"', "feeds", "holds no feed that draws"),
        (
            'exclude_tags = ["a"]\nboosts = [{ tag = "a", factor = 2.0 }]',
            "boosts[0]",
            "'a' is filtered out on this surface: it never applies",
        ),
        ('categories = ["b"]\nboosts = [{ category = "a", factor = 2.0 }]', "boosts[0]", "it never applies"),
        ('boosts = [{ owner = "a", factor = 20.0 }]', "boosts[0].factor", "choose up to 20 times as often"),
        ('boosts = [{ owner = "a", factor = 0.05 }]', "boosts[0].factor", "choose up to 20 times as often"),
        ("distance_half_m = 0.5", "distance_half_m", "beyond 20 m of 5000 m all are as far"),
        ("radius_m = 900\ndistance_half_m = 22", "distance_half_m", "beyond 880 m of 900 m"),
        ('seen = "fade"\nseen_fade = 1', "seen_fade", "what was seen does not fade"),
        ('seen = "leave_out"\n[seen]\nmost = 0', "seen", "nothing is remembered"),
        ("exclude_seen = true\n[seen]\nmost = 0", "seen", "nothing is remembered"),
    ],
)
def test_what_is_hardly_meant_is_warned_of(line: str, key: str, message: str) -> None:
    (warning,) = policy_warnings(home(line))
    assert warning.key == f"policy.scenarios.home.{key}"
    assert message in warning.message


def test_to_exclude_what_was_seen_is_to_leave_it_out() -> None:
    assert home("exclude_seen = true").scenarios["home"].seen_way == "leave_out"
    assert home('exclude_seen = true\nseen = "leave_out"').scenarios["home"].seen_way == "leave_out"
    assert default_policy().scenarios["default"].seen_way == "show"


def test_the_defaults_are_those_of_a_surface_that_asks_for_nothing() -> None:
    asked = {name: value for name, value in msgspec.structs.asdict(Scenario()).items() if value}
    assert asked == {"seen": "show", "seen_fade": 0.5}

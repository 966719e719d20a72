"""New items' places and caps: what contradicts itself is refused, what is probably not meant is warned of."""

import pytest

from nearcast_config.consistency import policy_warnings
from nearcast_config.policytext import default_policy, load_policy_text
from nearcast_config.problems import SettingsError


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (
            "[newcomers]\nfloor_share = 0.3\ncap_share = 0.2",
            "newcomers.floor_share",
            "must be in [0, 0.2] (newcomers.cap_share), got 0.3: the same places",
        ),
        (
            "[newcomers]\ncap_share = 0\n[exploration]\nshare = 0",
            "newcomers.cap_share",
            "no new item would ever be shown",
        ),
        ("[newcomers]\nfloor_share = 1.1", "newcomers.floor_share", "in [0, 1], got 1.1"),
        ("[newcomers]\ncap_share = nan", "newcomers.cap_share", "got nan"),
        ("[newcomers]\nuntil_exposures = 0", "newcomers.until_exposures", "in [1, 1000000], got 0"),
        ("[caps]\nitem_per_hour = -1", "caps.item_per_hour", "in [0, 1000000000], got -1"),
        (
            "[caps]\nitem_per_day = 1",
            "caps.item_per_day",
            "did you mean policy.caps.item_per_hour?",
        ),
    ],
)
def test_what_cannot_be_is_refused(text: str, key: str, message: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load_policy_text(text)
    problem = refused.value.problems[0]
    assert problem.key == f"policy.{key}"
    assert message in problem.message


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("[newcomers]\nfloor_share = 0.6", "newcomers.floor_share", "gives 61% of all places to trying out"),
        ("[newcomers]\ncap_share = 0", "newcomers.cap_share", "in uniform shuffles alone"),
        ("[caps]\nowner_per_hour = 19", "caps.owner_per_hour", "less than one slate holds"),
        ("[caps]\nowner_per_hour = 500\nitem_per_hour = 500", "caps.item_per_hour", "not below"),
        (
            "[caps]\nitem_per_hour = 10\n[exposure]\nhalf_life_hours = 2",
            "caps.item_per_hour",
            "at most 28.9 impressions of evidence, less than kinds.apply.prior_strength (100)",
        ),
        (
            "[caps]\nitem_per_hour = 10\n[newcomers]\nfloor_share = 0.1\nuntil_exposures = 2000",
            "newcomers.until_exposures",
            "at least 200 hours",
        ),
    ],
)
def test_what_is_probably_not_meant_is_warned_of(text: str, key: str, message: str) -> None:
    warnings = policy_warnings(load_policy_text(text))
    assert any(each.key == f"policy.{key}" and message in each.message for each in warnings), warnings


@pytest.mark.parametrize(
    "text",
    [
        "[newcomers]\nfloor_share = 0.2\ncap_share = 0.2",
        "[caps]\nowner_per_hour = 200\nitem_per_hour = 100",
    ],
)
def test_the_edge_of_a_rule_gives_no_warning(text: str) -> None:
    assert policy_warnings(load_policy_text(text)) == ()


def test_by_default_nothing_is_kept_and_nothing_capped() -> None:
    policy = default_policy()
    assert not policy.newcomers.have_budget
    assert not policy.caps.are_set

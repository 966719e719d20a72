"""Pins and diversity as they are set: what is refused, what is warned about, how they are written."""

import pytest

from nearcast_config.arrangement import Pin
from nearcast_config.consistency import policy_warnings
from nearcast_config.policydiff import policy_changes
from nearcast_config.policytext import default_policy, load_policy_text, policy_from_json, policy_to_json
from nearcast_config.policytext import policy_to_toml as to_toml
from nearcast_config.problems import SettingsError

HOME = "[scenarios.home]\nlimit = 10\npins = ["
BOTH = '{ item_id = "a", slot = 2, from = "2026-12-01T08:00:00Z", until = "2026-12-02T08:00:00+01:00" }'


def pinned(*pins: str) -> str:
    return HOME + ", ".join(pins) + "]"


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (pinned('{ item_id = "a", slot = 0 }'), "home.pins[0].slot", "in [1, 200], got 0"),
        (
            pinned('{ item_id = "a", slot = 101 }'),
            "home.pins[0].slot",
            "in [1, 100] (slate.max_limit), got 101",
        ),
        (pinned("{ slot = 1 }"), "home.pins[0].item_id", "must be set"),
        (pinned('{ item_id = "a b", slot = 1 }'), "home.pins[0].item_id", "text of the form"),
        (pinned('{ item_id = "a", slot = 1, till = "" }'), "home.pins[0].till", "is not known"),
        (
            pinned('{ item_id = "a", slot = 1, from = "soon" }'),
            "home.pins[0].from",
            "a time such as 2026-12-01T08:00:00Z",
        ),
        (
            pinned('{ item_id = "a", slot = 1, from = "2026-02-30T00:00:00Z" }'),
            "home.pins[0].from",
            "must be a time such as 2026-12-01T08:00:00Z, got '2026-02-30T00:00:00Z'",
        ),
        (
            pinned('{ item_id = "a", slot = 1, until = "2026-12-01T08:00:00" }'),
            "home.pins[0].until",
            "must be a time such as 2026-12-01T08:00:00Z, got '2026-12-01T08:00:00'",
        ),
        (
            pinned(
                '{ item_id = "a", slot = 1, from = "2026-12-02T00:00:00Z", until = "2026-12-01T00:00:00Z" }'
            ),
            "home.pins[0].until",
            "must be later than from (2026-12-02T00:00:00Z), got 2026-12-01T00:00:00Z",
        ),
        (pinned(BOTH, '{ item_id = "b", slot = 2 }'), "home.pins[1].slot", "a slot has room for one item"),
        (pinned(BOTH, '{ item_id = "a", slot = 3 }'), "home.pins[1].item_id", "stands in a slate once"),
        (pinned("7"), "home.pins[0]", "must be a table, got a number"),
        ("[scenarios.home]\npins = 7", "home.pins", "a table of item_id, slot, from, until"),
    ],
)
def test_a_pin_that_cannot_be_is_refused(text: str, key: str, message: str) -> None:
    with pytest.raises(SettingsError) as raised:
        load_policy_text(text)
    (problem,) = raised.value.problems
    assert problem.key == f"policy.scenarios.{key}"
    assert message in problem.message


@pytest.mark.parametrize("key", ["most_per_owner", "most_per_category", "window"])
def test_a_number_out_of_range_is_refused(key: str) -> None:
    with pytest.raises(SettingsError, match=rf"policy.diversity.{key}.*\[., 200\], got 201"):
        load_policy_text(f"[diversity]\n{key} = 201")


def test_pins_of_one_slot_may_follow_each_other() -> None:
    next_day = '{ item_id = "b", slot = 2, from = "2026-12-02T07:00:00Z" }'
    policy = load_policy_text(
        pinned(BOTH, next_day, '{ item_id = "a", slot = 1, from = "2027-01-01T00:00Z" }')
    )
    assert [pin.slot for pin in policy.scenarios["home"].pins] == [2, 2, 1]


def test_a_pin_holds_from_the_first_moment_until_before_the_last() -> None:
    assert Pin("a", 1, "1970-01-01T00:01:00Z", "1970-01-01T01:00:00.5+00:59").span == (60.0, 60.5)
    assert Pin("a", 1).span == (float("-inf"), float("inf"))


def test_pins_are_written_as_they_are_read() -> None:
    policy = load_policy_text(pinned(BOTH, '{ item_id = "b", slot = 1 }'))
    assert load_policy_text(to_toml(policy)) == policy
    assert policy_from_json(policy_to_json(policy)) == policy
    assert BOTH in to_toml(policy)


def test_a_diff_shows_pins_as_they_are_written() -> None:
    (change,) = policy_changes(
        load_policy_text(pinned()), load_policy_text(pinned('{ item_id = "b", slot = 1 }'))
    )
    assert str(change) == 'policy.scenarios.home.pins: [] -> [{ item_id = "b", slot = 1 }]'


@pytest.mark.parametrize("key", ["most_per_owner", "most_per_category"])
def test_a_number_that_is_never_exceeded_is_warned_about(key: str) -> None:
    (warning,) = policy_warnings(load_policy_text(f"[diversity]\n{key} = 10"))
    assert warning.key == f"policy.diversity.{key}"
    assert "10 does nothing while diversity.window is 10" in warning.message
    assert not policy_warnings(load_policy_text(f"[diversity]\n{key} = 9"))


def test_a_time_may_stand_without_quotes() -> None:
    policy = load_policy_text(pinned('{ item_id = "a", slot = 2, from = 2026-12-01T08:00:00Z }'))
    (pin,) = policy.scenarios["home"].pins
    assert pin.span == (1_796_112_000.0, float("inf"))
    assert load_policy_text(to_toml(policy)) == policy


def test_a_pin_for_what_the_surface_never_shows_is_warned_about() -> None:
    text = pinned('{ item_id = "a", slot = 1 }') + '\nexclude_item_ids = ["a"]'
    (warning,) = policy_warnings(load_policy_text(text))
    assert warning.key == "policy.scenarios.home.pins[0].item_id"
    assert "'a' is in exclude_item_ids of this surface: it never stands there" in warning.message


def test_a_surface_full_of_pins_is_warned_about() -> None:
    pins = [f'{{ item_id = "i{slot}", slot = {slot} }}' for slot in range(1, 7)]
    (warning,) = policy_warnings(load_policy_text(pinned(*pins)))
    assert warning.key == "policy.scenarios.home.pins"
    assert "take 6 of 10 slots" in warning.message
    assert not policy_warnings(load_policy_text(pinned(*pins[:5])))


def test_by_default_nothing_is_pinned_or_kept_apart() -> None:
    policy = default_policy()
    assert policy.diversity.most_per_owner == policy.diversity.most_per_category == 0
    assert policy.scenarios["default"].pins == ()

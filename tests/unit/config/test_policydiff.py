"""What differs between two policies, and what a key may be."""

import pytest

from nearcast_config.consistency import policy_warnings
from nearcast_config.policydiff import policy_changes
from nearcast_config.policytext import default_policy, load_policy_text, policy_to_toml
from nearcast_config.ranges import allowed_at

BEFORE = load_policy_text("[kinds.call]\nweight = 3\n[scenarios.home]\nradius_m = 900\n")
AFTER = load_policy_text(
    "[kinds.view]\nweight = 2\n[scenarios.home]\n[exposure]\nposition_curve = [1, 0.5]\n"
)


def test_equal_policies_do_not_differ() -> None:
    assert policy_changes(default_policy(), load_policy_text(policy_to_toml(default_policy()))) == ()


def test_every_key_that_differs_is_told_as_toml_writes_it() -> None:
    changes = [str(change) for change in policy_changes(BEFORE, AFTER)]
    assert changes[:3] == [
        "policy.exposure.position_curve: [] -> [1.0, 0.5]",
        "policy.kinds.call.maturity_hours: no longer set (was 0.0)",
        "policy.kinds.call.prior_mean: no longer set (was 0.05)",
    ]
    assert changes[-2:] == [
        "policy.kinds.view.weight: 1.0 -> 2.0",
        "policy.scenarios.home.radius_m: no longer set (was 900.0)",
    ]


def test_the_same_change_the_other_way_round_is_its_opposite() -> None:
    there, back = policy_changes(BEFORE, AFTER), policy_changes(AFTER, BEFORE)
    assert [(c.key, c.before, c.after) for c in there] == [(c.key, c.after, c.before) for c in back]


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        ("policy.radius.default_m", "a number in (0, 500000] metres"),
        ("policy.kinds.view.weight", "a number in [0, 1000000]"),
        ("policy.markets.o.1.frozen", "true or false"),
        ("policy.master.goal", 'one of "identify", "reward"'),
        ("policy.radius", ""),
        ("policy.radius.nothing", ""),
        ("", ""),
    ],
)
def test_what_a_key_may_be_is_told_in_words(key: str, allowed: str) -> None:
    assert allowed_at(key) == allowed


@pytest.mark.parametrize(
    ("text", "key", "consequence"),
    [
        ("[master]\nfrozen = true", "master.frozen", "draws and explores nothing"),
        ("[markets.oslo]\nfrozen = true", "markets.oslo.frozen", "new items are hardly shown"),
        ("[master]\nmin_sessions = 50000", "master.min_sessions", "share evenly what the floors leave"),
    ],
)
def test_what_is_allowed_and_dangerous_is_warned_about(text: str, key: str, consequence: str) -> None:
    (warning,) = policy_warnings(load_policy_text(text))
    assert warning.key == f"policy.{key}"
    assert consequence in warning.message


def test_a_text_full_of_unknown_keys_is_refused_soon() -> None:
    """Looking for what each may have meant would take minutes."""
    text = "[radius]\n" + "\n".join(f"nothing_{n} = 1" for n in range(5000))
    with pytest.raises(Exception, match="5000 problems"):
        load_policy_text(text)

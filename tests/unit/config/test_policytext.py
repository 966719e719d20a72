"""A policy survives every form of text, and a text says what it leaves out."""

import tomllib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nearcast_config.policy import Policy
from nearcast_config.policytext import (
    default_policy,
    load_policy_text,
    policy_checksum,
    policy_from_json,
    policy_to_json,
    policy_to_toml,
)
from nearcast_config.problems import SettingsError

slugs = st.from_regex(r"[a-z][a-z0-9_-]{0,31}", fullmatch=True).filter(lambda name: name != "impression")
shares = st.floats(0, 1, exclude_min=True, exclude_max=True)


@st.composite
def plain_policies(draw: st.DrawFn) -> dict[str, object]:
    kind = st.fixed_dictionaries(
        {"weight": st.floats(0.01, 1e6), "prior_mean": shares, "prior_strength": st.floats(0.1, 1e5)},
        optional={"maturity_hours": st.floats(0, 168), "rewards_feed": st.booleans()},
    )
    kinds = draw(st.dictionaries(slugs, kind, max_size=4))
    orders = st.sampled_from(["nearest", "newest", "draw"])
    feed = st.fixed_dictionaries({"order": orders, "floor": st.floats(0, 0.1)})
    feeds: dict[str, dict[str, object]] = draw(
        st.dictionaries(slugs.filter(lambda name: name != "explore"), feed, min_size=1, max_size=5)
    )
    if kinds:
        feeds["most-of-some"] = {"order": "most", "kind": draw(st.sampled_from(sorted(kinds))), "floor": 0.0}
    scenario = st.fixed_dictionaries(
        {},
        optional={
            "feeds": st.lists(st.sampled_from(sorted(feeds)), unique=True, max_size=3),
            "radius_m": st.floats(1e-6, 5000.0),
            "limit": st.integers(1, 20),
        },
    )
    curve = draw(st.lists(st.floats(1e-9, 1), min_size=1, max_size=10))
    return {
        "kinds": kinds,
        "feeds": feeds,
        "scenarios": draw(st.dictionaries(slugs, scenario, max_size=3)),
        "exposure": {"mode": draw(st.sampled_from(["seen", "pbm"])), "position_curve": curve},
        "radius": {"max_m": draw(st.floats(5000, 500000)), "widen_factors": []},
    }


@settings(max_examples=60, deadline=None)
@given(plain_policies())
def test_a_policy_survives_toml_and_json(plain: dict[str, object]) -> None:
    policy = policy_from_json(msgspec.json.encode(plain))
    toml = policy_to_toml(policy)
    for again in (load_policy_text(toml), policy_from_json(policy_to_json(policy))):
        assert again == policy
        assert policy_checksum(again) == policy_checksum(policy)
        assert list(again.feeds) == list(policy.feeds) == sorted(policy.feeds)
    assert list(tomllib.loads(toml)) == ["policy"]


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from([*Policy.__struct_fields__, "view", "order", "default_m", "feeds", "kind"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_is_a_policy_or_refused_as_one(plain: object) -> None:
    try:
        policy = policy_from_json(msgspec.json.encode(plain))
    except SettingsError:
        return
    assert policy_from_json(policy_to_json(policy)) == policy


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", '"x"', "[" * 100_000, b"\xff"])
def test_a_stored_text_that_is_no_policy_is_refused(text: str | bytes) -> None:
    with pytest.raises(SettingsError):
        policy_from_json(text)


def test_a_text_may_stand_with_or_without_its_table() -> None:
    inside = load_policy_text("[gateway]\ngrpc_port = 1\n[policy.slate]\ndefault_limit = 3\n")
    alone = load_policy_text("[slate]\ndefault_limit = 3\n")
    assert inside == alone
    assert inside.slate.default_limit == 3


def test_a_stranger_beside_the_policy_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"slate.*is not known; did you mean policy\.slate\?"):
        load_policy_text("[slate]\ndefault_limit = 3\n[policy.radius]\nmax_m = 6000\n")


def test_tuning_one_knob_of_a_built_in_kind_keeps_all_else() -> None:
    policy = load_policy_text("[policy.kinds.view]\nprior_mean = 0.3\n[policy.kinds.hide]\nweight = 0\n")
    assert policy.kinds["view"].prior_mean == 0.3
    assert policy.kinds["view"].weight == default_policy().kinds["view"].weight > 0
    assert policy.kinds["apply"] == default_policy().kinds["apply"]
    assert policy.kinds["hide"].weight == 0


def test_naming_a_feed_replaces_the_default_ones() -> None:
    policy = load_policy_text('[policy.feeds.draw]\norder = "draw"\n')
    assert list(policy.feeds) == ["draw"]


def test_the_default_scenario_is_always_there() -> None:
    assert set(load_policy_text("[policy.scenarios.home]\nlimit = 5\n").scenarios) == {"default", "home"}
    assert set(load_policy_text("").scenarios) == {"default"}


def test_the_order_of_names_in_a_text_changes_nothing() -> None:
    one = load_policy_text('[feeds.a]\norder = "newest"\n[feeds.b]\norder = "nearest"\n')
    other = load_policy_text('[feeds.b]\norder = "nearest"\n[feeds.a]\norder = "newest"\n')
    assert list(one.feeds) == list(other.feeds)
    assert policy_checksum(one) == policy_checksum(other)


def test_a_changed_knob_changes_the_checksum() -> None:
    assert policy_checksum(load_policy_text("[exploration]\nshare = 0.03\n")) != policy_checksum(
        default_policy()
    )
    assert len(policy_checksum(default_policy())) == 32

"""The declarations are sound, and can be said in words."""

import pytest
from msgspec import inspect

from nearcast_config.checking import admits
from nearcast_config.declaration import REQUIRED, Setting, allowed, settings_of
from nearcast_config.policy import Policy
from nearcast_config.policytext import default_policy, policy_from_json, policy_to_json
from nearcast_config.process import ProcessConfig

ALL_SETTINGS = [*settings_of(ProcessConfig), *settings_of(Policy, "policy.")]
BY_KEY = {setting.key: setting for setting in ALL_SETTINGS}


@pytest.mark.parametrize("setting", ALL_SETTINGS, ids=lambda setting: setting.key)
def test_a_default_is_inside_its_range(setting: Setting) -> None:
    if setting.default is REQUIRED or setting.default is None:
        return
    if isinstance(setting.type, inspect.VarTupleType):
        assert isinstance(setting.default, tuple)
        assert all(admits(setting.type.item_type, entry) for entry in setting.default)
    else:
        assert admits(setting.type, setting.default)


def test_the_default_policy_passes_its_own_checks() -> None:
    assert policy_from_json(policy_to_json(default_policy())) == default_policy()


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("gateway.grpc_port", "a whole number in [0, 65535]"),
        ("gateway.default_deadline_s", "a number in (0, 60] seconds"),
        ("gateway.reflection", "true or false"),
        ("gateway.host", "text of 1 or more characters"),
        ("logging.format", 'one of "json", "text"'),
        ("policy.kinds.<name>.prior_mean", "a number in (0, 1)"),
        ("policy.kinds.<name>.weight", "a number in [0, 1000000]"),
        ("policy.radius.widen_factors", "a list, at most 8 of: a number in (1, 1000]"),
        ("policy.scenarios.<name>.radius_m", "a number metres"),
    ],
)
def test_a_range_is_said_in_words(key: str, words: str) -> None:
    assert allowed(BY_KEY[key].type, BY_KEY[key].unit) == words


def test_secrets_are_what_may_hold_a_password() -> None:
    assert {key for key, setting in BY_KEY.items() if setting.secret} == {
        "postgres.dsn",
        "redis.geo_url",
        "redis.log_url",
        "keeper.source.dsn",
    }

"""A policy as text: TOML for people, canonical JSON for storing, a checksum for comparing."""

from collections.abc import Mapping
from hashlib import sha256

import msgspec

from nearcast_config.checking import Check
from nearcast_config.consistency import policy_problems
from nearcast_config.declaration import known_keys
from nearcast_config.policy import Policy, Scenario
from nearcast_config.problems import SettingProblem, SettingsError, unknown_name
from nearcast_config.process import ProcessConfig
from nearcast_config.tomltext import read_toml, write_toml

_PREFIX = "policy."

# Of a text that is to be read.
MOST_TEXT_CHARS = 1 << 18

# Of processes and policies, as a key in the wrong one of the two is a common slip.
KNOWN_KEYS = (*known_keys(ProcessConfig), *known_keys(Policy, _PREFIX))


def default_policy() -> Policy:
    """What a tenant has before anybody set anything."""
    return policy_from_plain({})


def load_policy_text(text: str, source: str = "policy") -> Policy:
    """The policy of a TOML text: its [policy], or all of it when there is none."""
    document = read_toml(text, source)
    if "policy" not in document:
        return policy_from_plain(document, source)
    sections = ["policy", *ProcessConfig.__struct_fields__]
    problems = [
        SettingProblem(name, unknown_name(name, sections, KNOWN_KEYS), source)
        for name in document
        if name not in sections
    ]
    return policy_from_plain(document["policy"], source, problems)


def policy_to_toml(policy: Policy) -> str:
    """All knobs under [policy], ready for a settings file; load_policy_text gives the same policy back."""
    return write_toml({"policy": msgspec.to_builtins(policy)})


def policy_from_json(text: str | bytes, source: str = "stored policy") -> Policy:
    """The policy of a stored text."""
    try:
        plain = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise SettingsError([SettingProblem("", f"is not JSON: {error}", source)]) from error
    return policy_from_plain(plain, source)


def policy_to_json(policy: Policy) -> str:
    """The one text of a policy: equal policies have equal texts."""
    return msgspec.json.encode(policy, order="deterministic").decode()


def policy_checksum(policy: Policy) -> bytes:
    """32 bytes that differ when any knob does."""
    return sha256(policy_to_json(policy).encode()).digest()


def policy_from_plain(raw: object, source: str = "", found: list[SettingProblem] | None = None) -> Policy:
    """The policy of plain tables, complete and consistent; SettingsError has all faults, with `found`."""
    problems = list(found or ())
    merged = _over_built_in_kinds(raw)
    problems += Check(Policy, _PREFIX, KNOWN_KEYS, lambda _: source).run(merged)
    if problems:
        raise SettingsError(problems)
    policy = _completed(msgspec.convert(merged, Policy))
    problems += [problem.at(source) for problem in policy_problems(policy)]
    if problems:
        raise SettingsError(problems)
    return policy


def _over_built_in_kinds(raw: object) -> object:
    """A built-in kind keeps what the text leaves out, so that tuning one knob cannot drop another."""
    if not isinstance(raw, Mapping) or not isinstance(raw.get("kinds"), Mapping):
        return raw
    kinds: dict[str, object] = dict(msgspec.to_builtins(Policy().kinds))
    for name, own in raw["kinds"].items():
        built_in = kinds.get(name)
        if isinstance(own, Mapping) and isinstance(built_in, Mapping):
            kinds[name] = {**built_in, **own}
        else:
            kinds[name] = own
    return {**raw, "kinds": kinds}


def _completed(policy: Policy) -> Policy:
    """With the scenario that is always there, and names in order: equal policies iterate alike."""
    return msgspec.structs.replace(
        policy,
        kinds=dict(sorted(policy.kinds.items())),
        feeds=dict(sorted(policy.feeds.items())),
        markets=dict(sorted(policy.markets.items())),
        scenarios=dict(sorted(({"default": Scenario()} | policy.scenarios).items())),
    )

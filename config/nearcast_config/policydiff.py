"""What differs between two policies, key by key."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import msgspec

from nearcast_config.policy import Policy
from nearcast_config.tomltext import toml_value


@dataclass(frozen=True, slots=True)
class Change:
    """One key with its values as TOML writes them; "" where the key is not there or unset."""

    key: str
    before: str
    after: str

    def __str__(self) -> str:
        """One line for an operator."""
        if not self.before:
            return f"{self.key}: set to {self.after}"
        if not self.after:
            return f"{self.key}: no longer set (was {self.before})"
        return f"{self.key}: {self.before} -> {self.after}"


def policy_changes(before: Policy, after: Policy) -> tuple[Change, ...]:
    """Every key whose value differs, in the order of their names."""
    old, new = (dict(_flat(msgspec.to_builtins(policy), "policy")) for policy in (before, after))
    return tuple(
        Change(key, old.get(key, ""), new.get(key, ""))
        for key in sorted(old.keys() | new.keys())
        if old.get(key, "") != new.get(key, "")
    )


def _flat(table: Mapping[str, object], path: str) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        key = f"{path}.{name}"
        if isinstance(value, Mapping):
            yield from _flat(value, key)
        elif value is not None:
            yield key, toml_value(value)

"""The reference page of all settings, made from their declarations: python -m nearcast_config.reference."""

import sys
from collections.abc import Iterable, Iterator

from msgspec import Struct, to_builtins

from nearcast_config.declaration import REQUIRED, Section, Setting, allowed, sections_of
from nearcast_config.environment import OTHER_NAMES, OTHER_PREFIXES, variable_of
from nearcast_config.policy import Policy
from nearcast_config.process import ProcessConfig
from nearcast_config.tomltext import toml_value

_HEAD = """\
# Settings

Generated from the declarations; change those and run
`python -m nearcast_config.reference > docs/reference/settings.md`.

There are two kinds of settings. A **process** reads its own at start, from a TOML file, then from the
environment, then from flags; the last one wins. A **policy** holds the knobs of one tenant and changes
without a restart: the file's `[policy]` becomes a tenant's first revision; afterwards a file becomes a
revision only when it is applied, by `nearcast policy apply FILE`. A process whose file has another policy
than the one in force says so at its start and leaves it in force.

Whatever is misspelt or out of range stops the start: all faults are listed at once, each with its key, the
value, the range and, for an unknown name, the nearest known one. An interval is written as in mathematics:
`(0, 10]` leaves 0 out and holds 10. A setting marked *secret* never appears in a message or a log.

Read besides by the command line, the bootstrap and the tests: {others}. Any other variable that starts
with `NEARCAST_` is a fault.
"""

_PROCESS_HEAD = """\
## Process

Each section is a table of the file; a key `gateway.grpc_port` is `grpc_port` under `[gateway]`.
"""

_POLICY_HEAD = """\
## Policy

The tables of a policy live under `[policy]`. Names that you give (`<name>`) are 1 to 32 characters of
`a-z`, `0-9`, `_` and `-`, a letter first.
"""

_NOTES = {
    "policy.kinds.<name>": (
        "`view`, `save` and `apply` are always there and keep whatever you leave out; with weight 0 a kind "
        "is recorded and moves no item. `impression` has no settings."
    ),
    "policy.feeds.<name>": (
        "Naming any feed replaces the whole default set. The floors' sum stays below 1. The name `explore` "
        "is taken."
    ),
    "policy.scenarios.<name>": "`default` is always there.",
}


def reference() -> str:
    """The whole page."""
    others = ", ".join(
        f"`{name}`" for name in [*sorted(OTHER_NAMES), *(f"{start}*" for start in OTHER_PREFIXES)]
    )
    lines = [_HEAD.format(others=others), _PROCESS_HEAD]
    lines += [line for section in sections_of(ProcessConfig) for line in _process_section(section)]
    lines.append(_POLICY_HEAD)
    lines += [line for section in sections_of(Policy, "policy.") for line in _policy_section(section)]
    return "\n".join(lines).rstrip() + "\n"


def _process_section(section: Section) -> Iterator[str]:
    yield f"### [{section.key}]\n\n{section.description}\n"
    yield "| Key | Allowed | Default | Environment | Meaning |\n|---|---|---|---|---|"
    for setting in section.settings:
        cells = (
            _name(setting),
            _allowed(setting),
            _default(setting),
            f"`{variable_of(setting.key)}`",
            _meaning(setting),
        )
        yield _row(cells)
    yield ""


def _policy_section(section: Section) -> Iterator[str]:
    yield f"### [{section.key}]\n\n{section.description}\n"
    if section.key in _NOTES:
        yield f"{_NOTES[section.key]}\n"
    yield "| Key | Allowed | Default | Meaning |\n|---|---|---|---|"
    for setting in section.settings:
        yield _row((_name(setting), _allowed(setting), _default(setting), _meaning(setting)))
    yield ""
    yield from _named_defaults(section)


def _named_defaults(section: Section) -> Iterator[str]:
    """What a table of names holds when nothing is set."""
    name = section.key.removeprefix("policy.")
    if not name.endswith(".<name>") or name.count("<name>") > 1:
        return
    entries: dict[str, Struct] = getattr(Policy(), name.removesuffix(".<name>"))
    yield "By default:\n"
    for entry, value in entries.items():
        plain = {key: part for key, part in to_builtins(value).items() if part not in (None, "", (), [])}
        yield f"- `{entry}`: " + (
            ", ".join(f"`{key} = {toml_value(plain[key])}`" for key in plain) or "nothing set"
        )
    yield ""


def _name(setting: Setting) -> str:
    return f"`{setting.key.rsplit('.', 1)[-1]}`"


def _allowed(setting: Setting) -> str:
    return allowed(setting.type, setting.unit)


def _default(setting: Setting) -> str:
    if setting.default is REQUIRED:
        return "must be set"
    return "unset" if setting.default is None else f"`{toml_value(setting.default)}`"


def _meaning(setting: Setting) -> str:
    return setting.description + (" (*secret*)" if setting.secret else "")


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


if __name__ == "__main__":
    sys.stdout.write(reference())

"""Files, variables and flags become settings: checked as a whole, every fault reported at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from nearcast_config.checking import Check
from nearcast_config.consistency import process_problems
from nearcast_config.environment import read_environment, variable_of
from nearcast_config.policy import Policy
from nearcast_config.policytext import KNOWN_KEYS, policy_from_plain
from nearcast_config.problems import SettingProblem, SettingsError
from nearcast_config.process import ProcessConfig
from nearcast_config.tomltext import read_toml

_NO_OVERRIDES: Mapping[str, object] = {}


@dataclass(frozen=True, slots=True)
class Settings:
    """What a process starts with; `policy` is None when the file has no [policy]."""

    process: ProcessConfig
    policy: Policy | None


def read_file(path: Path) -> tuple[dict[str, object], object | None]:
    """The sections of a process and the [policy] of a file, both unchecked; None without [policy]."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SettingsError([SettingProblem("", f"cannot be read: {reason}", str(path))]) from error
    document = read_toml(text, str(path))
    return document, document.pop("policy", None)


def load_process(
    path: Path | None, environment: Mapping[str, str], overrides: Mapping[str, object] = _NO_OVERRIDES
) -> ProcessConfig:
    """The settings of a process: defaults, then the file, then NEARCAST_* variables, then flags.

    `overrides` are flags by key, such as `gateway.grpc_port`; None is a flag that was not given.
    """
    document = {} if path is None else read_file(path)[0]
    return _process(document, str(path or ""), environment, overrides)


def load_file(
    path: Path | None, environment: Mapping[str, str], overrides: Mapping[str, object] = _NO_OVERRIDES
) -> Settings:
    """As load_process, with the file's policy; SettingsError holds the faults of both."""
    document, plain_policy = ({}, None) if path is None else read_file(path)
    source = str(path or "")
    problems: list[SettingProblem] = []
    policy = None
    if plain_policy is not None:
        try:
            policy = policy_from_plain(plain_policy, source)
        except SettingsError as error:
            problems += error.problems
    try:
        process = _process(document, source, environment, overrides)
    except SettingsError as error:
        raise SettingsError([*error.problems, *problems]) from None
    if problems:
        raise SettingsError(problems)
    return Settings(process, policy)


def _process(
    document: Mapping[str, object],
    source: str,
    environment: Mapping[str, str],
    overrides: Mapping[str, object],
) -> ProcessConfig:
    variables, problems = read_environment(ProcessConfig, environment)
    flags = {key: value for key, value in overrides.items() if value is not None}
    sources = {key: variable_of(key) for key in variables} | dict.fromkeys(flags, "flag")
    merged = _over(document, {**variables, **flags})
    problems += Check(ProcessConfig, "", KNOWN_KEYS, lambda key: sources.get(key, source)).run(merged)
    if not problems:
        process = msgspec.convert(merged, ProcessConfig)
        problems += [problem.at(sources.get(problem.key, source)) for problem in process_problems(process)]
    if problems:
        raise SettingsError(problems)
    return process


def _over(document: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
    """The document with values by key laid over it; what is no table is left for the check to name."""
    merged = dict(document)
    for key, value in values.items():
        section, _, name = key.partition(".")
        if not name:
            merged[section] = value
            continue
        table = merged.get(section, {})
        if isinstance(table, Mapping):
            merged[section] = _over(table, {name: value})
    return merged

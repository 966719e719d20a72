"""TOML in and out, as far as settings need it."""

import json
import tomllib
from collections.abc import Iterator, Mapping

from nearcast_config.problems import SettingProblem, SettingsError


def read_toml(text: str, source: str) -> dict[str, object]:
    """The document of a text; SettingsError names the line that is no TOML."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise SettingsError([SettingProblem("", f"is not TOML: {error}", source)]) from error


def write_toml(document: Mapping[str, object]) -> str:
    """The text of nested tables of plain values; None is left out."""
    return "\n".join(_table(document, "")).rstrip() + "\n"


def _table(table: Mapping[str, object], path: str) -> Iterator[str]:
    plain = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    nested = {name: value for name, value in table.items() if isinstance(value, Mapping)}
    if path and (plain or not nested):
        yield f"[{path}]"
    for name, value in plain.items():
        if value is not None:
            yield f"{name} = {toml_value(value)}"
    if plain or (path and not nested):
        yield ""
    for name, inner in nested.items():
        yield from _table(inner, f"{path}.{name}" if path else name)


def toml_value(value: object) -> str:
    """One value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case list() | tuple():
            return "[" + ", ".join(toml_value(entry) for entry in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=True)

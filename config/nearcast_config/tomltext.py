"""TOML in and out, as far as settings need it."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import date, time

from nearcast_config.problems import SettingProblem, SettingsError

# What editors of Windows begin a file with.
_BYTE_ORDER_MARK = "\ufeff"
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def read_toml(text: str, source: str) -> dict[str, object]:
    """The document of a text; SettingsError names the line that is no TOML."""
    try:
        document = tomllib.loads(text.removeprefix(_BYTE_ORDER_MARK))
        return {name: _as_text(value) for name, value in document.items()}
    except RecursionError as error:
        message = "is not TOML that can be read: its brackets are nested too deeply"
        raise SettingsError([SettingProblem("", message, source)]) from error
    except ValueError as error:
        raise SettingsError([SettingProblem("", f"is not TOML: {error}", source)]) from error


def _as_text(value: object) -> object:
    """Times as text, as settings hold them: with quotes or without is the same to who writes them."""
    if isinstance(value, dict):
        return {name: _as_text(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_as_text(inner) for inner in value]
    return value.isoformat() if isinstance(value, date | time) else value


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
        part = name if _BARE.fullmatch(name) else toml_value(name)
        yield from _table(inner, f"{path}.{part}" if path else part)


def toml_value(value: object) -> str:
    """One value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case list() | tuple():
            return "[" + ", ".join(toml_value(entry) for entry in value) + "]"
        case Mapping():
            entries = (f"{name} = {toml_value(entry)}" for name, entry in value.items() if entry is not None)
            return "{ " + ", ".join(entries) + " }"
        case _:
            return json.dumps(value, ensure_ascii=True)

"""Plain data against the declarations: every fault with its full key, value and range."""

import math
import re
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, inspect

from nearcast_config.declaration import allowed, bare, is_secret, present_types, unit_of
from nearcast_config.problems import SettingProblem, shown, unknown_name

_NAME_RULE = "named with 1 to 32 characters of a-z, 0-9, _ and -, a letter first"
# Beyond, what was meant is not looked for: it takes longer than all else.
_MOST_GUESSED = 50
_BARE_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Check:
    """Collects the faults of raw data; `everywhere` are the keys a misspelt one may have meant."""

    def __init__(
        self, root: type[Struct], prefix: str, everywhere: Iterable[str], source_of: Callable[[str], str]
    ) -> None:
        self.problems: list[SettingProblem] = []
        self._root = inspect.type_info(root)
        self._prefix = prefix
        self._everywhere = list(everywhere)
        self._source_of = source_of

    def run(self, raw: object) -> tuple[SettingProblem, ...]:
        """All faults of the data; when there are none it converts without one."""
        self._value(self._root, raw, self._prefix.rstrip("."))
        return tuple(self.problems)

    def _report(self, key: str, message: str) -> None:
        self.problems.append(SettingProblem(key, message, self._source_of(key)))

    def _value(self, declared: inspect.Type, raw: object, key: str) -> None:
        node = bare(declared)
        match node:
            case inspect.StructType():
                self._struct(node, raw, key)
            case inspect.DictType():
                self._names(node, raw, key)
            case inspect.VarTupleType():
                self._list(node, raw, key)
            case inspect.UnionType() if raw is None:
                pass
            case inspect.UnionType() if len(present_types(node)) == 1 or isinstance(raw, list | tuple):
                self._value(present_types(node)[0], raw, key)
            case _ if not admits(node, raw):
                found = "something else (not shown, as it is secret)" if is_secret(declared) else shown(raw)
                self._report(key, f"must be {allowed(node, unit_of(key))}, got {found}")

    def _struct(self, node: inspect.StructType, raw: object, key: str) -> None:
        if not isinstance(raw, Mapping):
            self._report(key, f"must be a table, got {_type_name(raw)}")
            return
        fields = {field.encode_name: field for field in node.fields}
        for name, value in raw.items():
            if name in fields:
                self._value(fields[name].type, value, _join(key, name))
            else:
                self._unknown(key, str(name), list(fields))
        for name, field in fields.items():
            if field.required and name not in raw:
                self._report(_join(key, name), f"must be set: {allowed(bare(field.type))}")

    def _unknown(self, section: str, name: str, siblings: list[str]) -> None:
        if len(self.problems) >= _MOST_GUESSED:
            self._report(_join(section, name), "is not known")
            return
        at_hand = [_join(section, sibling) for sibling in siblings]
        key = _join(section, name)
        self._report(key, unknown_name(key, at_hand, self._everywhere))

    def _names(self, node: inspect.DictType, raw: object, key: str) -> None:
        if not isinstance(raw, Mapping):
            self._report(key, f"must be a table of named tables, got {_type_name(raw)}")
            return
        least, most = node.min_length or 0, node.max_length or math.inf
        if not least <= len(raw) <= most:
            self._report(key, f"must hold {least} to {most} names, got {len(raw)}")
        for name, value in raw.items():
            if not admits(node.key_type, name):
                self._report(_join(key, str(name)), f"must be {_name_rule(node.key_type)}")
            self._value(node.value_type, value, _join(key, str(name)))

    def _list(self, node: inspect.VarTupleType, raw: object, key: str) -> None:
        if not isinstance(raw, list | tuple):
            self._report(key, f"must be {allowed(node, unit_of(key))}, got {shown(raw)}")
            return
        if node.max_length is not None and len(raw) > node.max_length:
            self._report(key, f"must be {allowed(node, unit_of(key))}, got {len(raw)} entries")
        for index, value in enumerate(raw):
            self._value(node.item_type, value, f"{key}[{index}]")


def _name_rule(node: inspect.Type) -> str:
    """Most names are slugs, which are easier read in words."""
    pattern = getattr(bare(node), "pattern", None) or ""
    return _NAME_RULE if pattern.startswith("^[a-z]") else f"named with {allowed(bare(node))}"


def admits(node: inspect.Type, raw: object) -> bool:  # noqa: PLR0911 - one for each type
    """Whether one plain value is of the type and in its range."""
    match node:
        case inspect.BoolType():
            return isinstance(raw, bool)
        case inspect.IntType():
            return isinstance(raw, int) and not isinstance(raw, bool) and _in_range(node, raw)
        case inspect.FloatType():
            return isinstance(raw, int | float) and not isinstance(raw, bool) and _in_range(node, raw)
        case inspect.StrType():
            return isinstance(raw, str) and _is_text(node, raw)
        case inspect.LiteralType():
            return isinstance(raw, str) and raw in node.values
        case inspect.VarTupleType() | inspect.UnionType():
            return _is_any(node, raw)
        case _:
            return False


def _is_any(node: inspect.VarTupleType | inspect.UnionType, raw: object) -> bool:
    """Whether it is a list of what may be in it, or one of several types."""
    if isinstance(node, inspect.UnionType):
        return any(admits(kind, raw) for kind in present_types(node))
    return isinstance(raw, list | tuple) and all(admits(bare(node.item_type), each) for each in raw)


def _in_range(node: inspect.IntType | inspect.FloatType, raw: float) -> bool:
    """Comparisons that fail for NaN; an int too large for a float is out of every range."""
    return (
        -1.7e308 < raw < 1.7e308
        and (node.ge is None or raw >= node.ge)
        and (node.gt is None or raw > node.gt)
        and (node.le is None or raw <= node.le)
        and (node.lt is None or raw < node.lt)
    )


def _is_text(node: inspect.StrType, raw: str) -> bool:
    if len(raw) < (node.min_length or 0) or "\0" in raw:
        return False
    return node.pattern is None or re.fullmatch(node.pattern, raw) is not None


def _join(key: str, name: str) -> str:
    part = name if _BARE_NAME.fullmatch(name) else shown(name)
    return f"{key}.{part}" if key else part


def _type_name(raw: object) -> str:
    match raw:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list() | tuple():
            return "a list"
        case _:
            return "something else"

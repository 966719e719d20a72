"""The declared settings as a list: every key with its type, default, range and meaning."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from msgspec import NODEFAULT, Struct, inspect

REQUIRED: Final = NODEFAULT

_UNITS = {
    "_m": "metres",
    "_s": "seconds",
    "_minutes": "minutes",
    "_hours": "hours",
    "_days": "days",
    "_bytes": "bytes",
    "_mib": "MiB",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One key; `<name>` in it stands for a name that the operator gives."""

    key: str
    type: inspect.Type
    default: object
    description: str
    secret: bool

    @property
    def unit(self) -> str:
        """The unit that the key's name carries, "" for none."""
        return unit_of(self.key)


@dataclass(frozen=True, slots=True)
class Section:
    """Keys that belong together."""

    key: str
    description: str
    settings: tuple[Setting, ...]


def sections_of(root: type[Struct], prefix: str = "") -> Iterator[Section]:
    """The sections of a root in declared order."""
    described = inspect.type_info(root)
    assert isinstance(described, inspect.StructType)
    for field in described.fields:
        node = bare(field.type)
        key, names = f"{prefix}{field.encode_name}", ""
        if isinstance(node, inspect.DictType):
            key, names = f"{key}.<name>", f" At most {node.max_length} names."
            node = bare(node.value_type)
        assert isinstance(node, inspect.StructType)
        yield from _sections(key, node, names)


def settings_of(root: type[Struct], prefix: str = "") -> Iterator[Setting]:
    """All keys of a root."""
    for section in sections_of(root, prefix):
        yield from section.settings


def known_keys(root: type[Struct], prefix: str = "") -> list[str]:
    """All keys and sections of a root: what a misspelt one may have meant."""
    sections = list(sections_of(root, prefix))
    keys = [setting.key for section in sections for setting in section.settings]
    return [section.key.removesuffix(".<name>") for section in sections] + keys


def bare(node: inspect.Type) -> inspect.Type:
    """The type without what is said about it."""
    return node.type if isinstance(node, inspect.Metadata) else node


def is_secret(node: inspect.Type) -> bool:
    """Whether a value of this type may never be shown."""
    return isinstance(node, inspect.Metadata) and bool((node.extra or {}).get("secret"))


def unit_of(key: str) -> str:
    """The unit in a key's name, "" for none."""
    last = key.rsplit(".", 1)[-1]
    return next((unit for suffix, unit in _UNITS.items() if last.endswith(suffix)), "")


def allowed(node: inspect.Type, unit: str = "") -> str:
    """What a value must be, in words: `a number in (0, 500000] metres`."""
    match node:
        case inspect.VarTupleType():
            most = "" if node.max_length is None else f"at most {node.max_length} of: "
            return f"a list, {most}{allowed(bare(node.item_type), unit)}"
        case inspect.UnionType():
            return ", or ".join(allowed(kind, unit) for kind in present_types(node))
        case inspect.IntType() | inspect.FloatType():
            noun = "a whole number" if isinstance(node, inspect.IntType) else "a number"
            return f"{noun}{_interval(node)} {unit}".rstrip()
        case _:
            return _allowed_word(node)


def _allowed_word(node: inspect.Type) -> str:
    match node:
        case inspect.BoolType():
            return "true or false"
        case inspect.LiteralType():
            choices = [f'"{choice}"' for choice in node.values]
            return "one of " + ", ".join(choices) if len(choices) > 1 else choices[0]
        case inspect.StrType() if node.pattern:
            return f"text of the form {node.pattern}"
        case inspect.StrType():
            return f"text of {node.min_length} or more characters" if node.min_length else "text"
        case inspect.StructType():
            return "a table of " + ", ".join(field.encode_name for field in node.fields)
        case _:
            return "a table"


def present_types(node: inspect.UnionType) -> list[inspect.Type]:
    """What a value may be when it is set."""
    return [bare(kind) for kind in node.types if not isinstance(kind, inspect.NoneType)]


def _sections(key: str, node: inspect.StructType, names: str = "") -> Iterator[Section]:
    """A section, and then those inside it."""
    inside = {inner.encode_name: bare(inner.type) for inner in node.fields}
    settings = tuple(
        _setting(f"{key}.{inner.encode_name}", inner)
        for inner in node.fields
        if not isinstance(inside[inner.encode_name], inspect.StructType | inspect.DictType)
    )
    yield Section(key, (node.cls.__doc__ or "").strip() + names, settings)
    for name, inner in inside.items():
        if isinstance(inner, inspect.StructType):
            yield from _sections(f"{key}.{name}", inner)
        elif isinstance(inner, inspect.DictType):
            named = bare(inner.value_type)
            assert isinstance(named, inspect.StructType)
            yield from _sections(f"{key}.{name}.<name>", named, f" At most {inner.max_length} names.")


def _interval(node: inspect.IntType | inspect.FloatType) -> str:
    low = _start(node.ge, "[") or _start(node.gt, "(")
    high = _end(node.le, "]") or _end(node.lt, ")")
    if not low and not high:
        return ""
    return f" in {low or '(-∞'}, {high or '∞)'}"


def _start(bound: float | None, bracket: str) -> str:
    return "" if bound is None else f"{bracket}{bound:.15g}"


def _end(bound: float | None, bracket: str) -> str:
    return "" if bound is None else f"{bound:.15g}{bracket}"


def _setting(key: str, field: inspect.Field) -> Setting:
    default = field.default if field.default is not NODEFAULT else REQUIRED
    described = field.type.extra_json_schema if isinstance(field.type, inspect.Metadata) else None
    meaning = str((described or {}).get("description", ""))
    return Setting(key, bare(field.type), default, meaning, is_secret(field.type))

"""What is wrong with a setting, said so that it can be put right without reading code."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_SHOWN_CHARS = 64
_KNOWN_SHOWN = 12
_MOST_TOLD = 50
_PREFIX = "NEARCAST_"


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """One fault: the key's full path, the rule with what was found, and where it was found ("" = unknown)."""

    key: str
    message: str
    source: str = ""

    def __str__(self) -> str:
        """One line for an operator."""
        origin = f" ({self.source})" if self.source else ""
        return f"{self.key}{origin}: {self.message}" if self.key else f"{self.source}: {self.message}"

    def at(self, source: str) -> "SettingProblem":
        """The same fault, found there."""
        return SettingProblem(self.key, self.message, source)


class SettingsError(Exception):
    """Settings cannot be used; `problems` holds every fault that was found, not only the first."""

    def __init__(self, problems: Iterable[SettingProblem]) -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {line}" for line in told(self.problems))
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{count} in the settings:\n{lines}")


def told(problems: Sequence[SettingProblem]) -> list[str]:
    """A line for each of the first, and one for how many there are besides: nobody reads ten thousand."""
    lines = [str(problem) for problem in problems[:_MOST_TOLD]]
    more = len(problems) - len(lines)
    return [*lines, f"… and {more} more"] if more else lines


def unknown_name(name: str, known: Iterable[str], elsewhere: Iterable[str] = ()) -> str:
    """The message for a name that means nothing here, with the nearest one that does, here or elsewhere."""
    here = sorted(known)
    nearest = (
        _nearest(name, here, 0.75) or _nearest(name, sorted(elsewhere), 0.85) or _nearest(name, here, 0.5)
    )
    if nearest:
        return f"is not known; did you mean {nearest}?"
    shown_names = ", ".join(here[:_KNOWN_SHOWN]) + (", …" if len(here) > _KNOWN_SHOWN else "")
    return f"is not known; known here: {shown_names or 'nothing'}"


def shown(value: object) -> str:
    """A value as it may appear in a message: short, printable, never a connection address."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    text = _number(value) if isinstance(value, int) else repr(value)
    if "://" in text:
        return "an address (not shown)"
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def _number(value: int) -> str:
    # Python refuses to print a number of more than 4300 digits.
    return str(value) if value.bit_length() < 256 else "a very large whole number"


def _nearest(name: str, candidates: list[str], cutoff: float) -> str | None:
    scored = [(_likeness(name, candidate), candidate) for candidate in candidates]
    (score, _), best = max(scored, default=((0.0, 0.0), None), key=lambda pair: pair[0])
    return best if score >= cutoff else None


def _likeness(name: str, candidate: str) -> tuple[float, float]:
    """First by the last part, as a key in the wrong section is a common slip; then as a whole.

    A variable also counts as a whole, as one underscore for two is another.
    """
    whole = _ratio(name.removeprefix(_PREFIX), candidate.removeprefix(_PREFIX))
    last = _ratio(_last_part(name), _last_part(candidate))
    return (max(last, whole) if name.isupper() else last), whole


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _last_part(name: str) -> str:
    return name.rsplit("__", 1)[-1].removeprefix(_PREFIX).rsplit(".", 1)[-1]

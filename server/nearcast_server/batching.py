"""A batch of which each entry is checked and written by itself: a bad one never spoils the others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from nearcast_catalogue.checking import Violation
from nearcast_catalogue.outcomes import Outcome, refused

_MOST_SAID = 128

Good = TypeVar("Good")
Written = TypeVar("Written")


@dataclass(frozen=True, slots=True)
class Result(Generic[Written]):
    """What became of one entry of a call, and what the store said of it when it was asked."""

    entry_id: str
    outcome: Outcome
    written: Written | None = None


class Batch(Generic[Good]):
    """Entries in the order of the call; `field` is what their ids are called."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._ids: list[str] = []
        self._good: dict[int, Good] = {}
        self._refused: dict[int, Violation] = {}
        self._seen: set[str] = set()

    @property
    def good(self) -> list[Good]:
        """What is to be written."""
        return list(self._good.values())

    def twice(self, entry_id: str) -> list[Violation]:
        """What is wrong with an id that stands earlier in the same call."""
        if entry_id not in self._seen:
            return []
        rule = "stands earlier in the same call; that one counts"
        return [Violation(self._field, "DUPLICATE_ID_IN_BATCH", rule)]

    def add(self, entry_id: str, judged: Good | Violation) -> None:
        """The next entry, as it is to be written, or the first thing wrong with it."""
        place = len(self._ids)
        self._ids.append(entry_id)
        if isinstance(judged, Violation):
            self._refused[place] = judged
        else:
            self._seen.add(entry_id)
            self._good[place] = judged

    def results(
        self, written: Sequence[Written], outcome_of: Callable[[Written], Outcome]
    ) -> list[Result[Written]]:
        """Of every entry, given what the store said of the good ones."""
        said = dict(zip(self._good, written, strict=True))
        return [
            Result(entry_id[:_MOST_SAID], refused(self._refused[place]))
            if place in self._refused
            else Result(entry_id[:_MOST_SAID], outcome_of(said[place]), said[place])
            for place, entry_id in enumerate(self._ids)
        ]


def batch_of_ids(field: str, ids: Sequence[str], check: Callable[[str, str], list[Violation]]) -> Batch[str]:
    """Entries that are nothing but ids."""
    batch = Batch[str](field)
    for each in ids:
        problems = [*check(field, each), *batch.twice(each)]
        batch.add(each, problems[0] if problems else each)
    return batch

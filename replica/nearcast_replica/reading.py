"""A reader's side of the replica: maps the newest generation, and pins a state of it for each request."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearcast_replica.control import ControlPage, Declined, Vitals
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.files import Files
from nearcast_replica.generation import Generation, open_generation
from nearcast_replica.layout import STATE_RULES, STATE_SEQUENCE, Segment
from nearcast_replica.lookup import id_of, message_of

_TRIES = 5

Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Pinned:
    """One state, for as long as it is held. All changes up to `sequence` are in it, perhaps later ones."""

    generation: Generation
    dictionaries: Dictionaries
    sequence: int

    @property
    def segment(self) -> Segment:
        return self.generation.segment

    def item_id(self, slot: int) -> str:
        """The tenant's name for the item in a slot."""
        return id_of(self.segment, slot).decode()

    def labels(self, slots: Integers) -> list[tuple[str, bytes]]:
        """The item id and the display message of each."""
        segment = self.segment
        begins = segment["cold_offset"][slots].tolist()
        lengths = zip(
            segment["id_length"][slots].tolist(), segment["cold_length"][slots].tolist(), strict=True
        )
        cold, found = segment.cold.data, []
        for begin, (name, whole) in zip(begins, lengths, strict=True):
            raw = bytes(cold[begin : begin + whole])
            found.append((raw[:name].decode(), raw[name:]))
        return found

    def markets(self, slots: Integers) -> list[int]:
        """The number of the market in which each item lies."""
        names = self.dictionaries.markets.names
        return [names[number] for number in self.segment["market"][slots].tolist()]

    def categories(self, slots: Integers) -> list[str]:
        """The category of each item."""
        names = self.dictionaries.categories.names
        return [names[number] for number in self.segment["category"][slots].tolist()]

    def message(self, slot: int) -> bytes:
        """The display message, byte for byte as the writer was given it."""
        return message_of(self.segment, slot)


class ReplicaReader:
    """Never waits for the writer. `pin` is for the request, `refresh` for a thread beside the requests."""

    def __init__(self, files: Files, build: str) -> None:
        self._files = files
        self._build = build
        self._control: ControlPage | None = None
        # With their rules, newest first.
        self._held: tuple[tuple[int, Generation], ...] = ()

    def pin(self, rules: int | None = None) -> Pinned | None:
        """The state to answer one request from; None before the first `refresh` that found one.

        `rules`: those by which its statistics have to be derived. Until `let_go` there is one of the rules
        before as well, which nobody brings forward any more.
        """
        for told, generation in self._held:
            if rules is None or told == rules:
                names = generation.dictionaries()
                return Pinned(generation, names, int(generation.segment["state"][STATE_SEQUENCE]))
        return None

    def holds(self, rules: int) -> bool:
        """Whether there is a state of these rules."""
        return any(told == rules for told, _ in self._held)

    @property
    def rules(self) -> int | None:
        """Of the newest state; None while there is none."""
        return self._held[0][0] if self._held else None

    def let_go(self) -> None:
        """Of what was told by the rules before."""
        self._held = self._held[:1]

    @property
    def is_behind(self) -> bool:
        """Whether the writer has made another generation than requests are answered from."""
        control, held = self._control, self._held
        if control is None or not held:
            return True
        return control.generation != held[0][1].number

    @property
    def size_bytes(self) -> int:
        """How much memory the columns take that requests are answered from."""
        return sum(generation.file.size for _, generation in self._held)

    def vitals(self) -> Vitals | None:
        """What the writer tells of itself; None when there has been none."""
        return None if self._control is None else self._control.vitals()

    def standing(self) -> tuple[int, int, Declined, bool] | None:
        """Of the vitals `abreast_ms`, `beat_ms`, `declined` and `index_behind`."""
        return None if self._control is None else self._control.standing()

    def refresh(self) -> bool:
        """Map the newest generation and touch all of it, then pin from it; whether there is one.

        Until then requests are answered from the one before. Raises ForeignReplicaError.
        """
        for _ in range(_TRIES):
            control = self._newest_control()
            if control is None:
                break
            if control.generation == 0:
                self._control = control
                if control.vitals().declined:
                    self._held = ()
                break
            if control is self._control and not self.is_behind:
                break
            try:
                found = open_generation(self._files, control.generation, self._build)
            except FileNotFoundError:
                continue  # the writer has just replaced it
            found.populate()
            rules = int(found.segment["state"][STATE_RULES])
            others = tuple(each for each in self._held if each[0] != rules)
            self._control, self._held = control, ((rules, found), *others[:1])
        return bool(self._held)

    def _newest_control(self) -> ControlPage | None:
        """Another file at the same path is the page of a writer who found the old one gone."""
        if self._control is not None and self._control.is_at(self._files.control):
            return self._control
        try:
            return ControlPage.open(self._files.control)
        except FileNotFoundError:
            return None

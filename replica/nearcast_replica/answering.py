"""Whoever answers questions of a segment: the kernel where there is machine code, otherwise its twin."""

from typing import Protocol

from nearcast_compiling.native import IS_NATIVE
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.factoring import Floats
from nearcast_replica.layout import Segment
from nearcast_replica.query import Found, Integers, Query
from nearcast_replica.twin import Twin


class Answerer(Protocol):
    """Not for two threads at once; a segment that was answered from is held until the next question."""

    def answer(self, segment: Segment, dictionaries: Dictionaries, query: Query) -> Found:
        """The best items for a question."""
        ...

    def competitors(self) -> Integers:
        """Slots of everything that the last answer was chosen from, in no order; call it before the next."""
        ...

    def factors(self) -> Floats | None:
        """What the scores of `competitors` were multiplied with, None where with nothing."""
        ...


def answerer() -> Answerer:
    """A new one, ready: machine code is loaded now, or made, which takes seconds."""
    if not IS_NATIVE:
        return Twin()
    from nearcast_replica.kernel import Kernel  # noqa: PLC0415 - needs numba

    kernel = Kernel()
    kernel.warm()
    return kernel

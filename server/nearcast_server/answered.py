"""What was answered, for whoever decides it again under another policy."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from nearcast_server.asking import RecommendQuery
from nearcast_server.deciding import Decision
from nearcast_server.recalling import Recalled
from nearcast_server.tenancy import View


class Answered(Struct, frozen=True, eq=False):
    """One answer and what it came from."""

    view: View
    query: RecommendQuery
    decision: Decision
    recalled: Recalled
    postings: Sequence[int]
    market: int
    now: float


class Audience(Protocol):
    """Is told of every answer of a tenant that has a shadow."""

    def note(self, answered: Answered) -> None:
        """This was answered. Never waits, never raises."""
        ...

"""A rule: from facts to a finding, and nothing else. Each is one row of docs/preflight.md."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic, Literal, TypeVar

from nearcast_ledger.event import Durability
from nearcast_store.preflight.facts import PostgresFacts, RedisFacts
from nearcast_store.preflight.finding import Finding, Severity, Store

Process = Literal["gateway", "keeper", "command"]
Facts = TypeVar("Facts", RedisFacts, PostgresFacts)


@dataclass(frozen=True, slots=True)
class Demands:
    """What must hold: for whom, from which durability on, and around which day (UTC).

    `state` is the directory of the `nearcast up` that runs the servers, empty when they are somebody's own.
    """

    process: Process
    durability: Durability
    today: date
    state: str = ""


@dataclass(frozen=True, slots=True)
class Rule(Generic[Facts]):
    """`judge` says what is wrong, "" when nothing is. In `fix`, names of facts stand in braces.

    `fix_of_ours` is for servers that `nearcast up` runs, where it is another.
    """

    code: str
    severity: Severity
    stores: tuple[Store, ...]
    demand: str
    why: str
    fix: str
    judge: Callable[[Facts, Demands], str]
    only_warns: tuple[Process, ...] = ()
    fix_of_ours: str = ""

    def find(
        self, facts: Facts, stores: Sequence[Store], demands: Demands, names: Mapping[str, str]
    ) -> Finding | None:
        """What is wrong by this rule with a server that does the work of these stores."""
        concerned = tuple(store for store in self.stores if store in stores)
        what = self.judge(facts, demands) if concerned else ""
        if not what:
            return None
        severity = Severity.WARN if demands.process in self.only_warns else self.severity
        fix = self.fix_of_ours if demands.state and self.fix_of_ours else self.fix
        filled = fix.format(**names, state=demands.state)
        return Finding(self.code, severity, concerned, what, self.why, filled)


def when(what: str, wrong: Callable[[Facts], bool]) -> Callable[[Facts, Demands], str]:
    """A judgement with nothing to add to what it found."""
    return lambda facts, _: what if wrong(facts) else ""

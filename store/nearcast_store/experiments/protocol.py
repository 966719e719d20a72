"""Which policies are tried beside the one in force, on whom, and what came of it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

from nearcast_bandit.evaluation.arms import ArmSums

Mode = Literal["split", "shadow"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """An experiment to begin: `revision` contends with `against`, the one in force."""

    tenant_id: int
    name: str
    mode: Mode
    revision: int
    against: int
    share: float
    author: str
    note: str
    started_at: float


@dataclass(frozen=True, slots=True)
class Experiment:
    """One that was begun; times in unix seconds, `stopped_at` None while it runs."""

    number: int
    wanted: Wanted
    stopped_at: float | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """The requests of an experiment, by the times of their ids in unix seconds."""

    tenant_id: int
    first: float
    end: float


@dataclass(frozen=True, slots=True)
class Sides:
    """A contender, the revisions it is compared with, and the feeds whose requests belong to neither."""

    contender: int
    against: Sequence[int]
    apart: Collection[int]


@dataclass(frozen=True, slots=True)
class ArmCounts:
    """What the sessions of one arm came to; `successes` by the number of the kind."""

    sums: ArmSums
    impressions: int
    successes: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Arms:
    """Both arms; `mixed` sessions were in both, and are counted for neither."""

    against: ArmCounts
    contender: ArmCounts
    mixed: int


class ShadowDecision(Struct, frozen=True):
    """What was shown, and what the contender would have shown; `new` items are those hardly seen so far."""

    tenant_id: int
    experiment: int
    request_id: UUID
    market: int
    feed: int
    shadow_feed: int
    postings: Sequence[int]
    shadow_postings: Sequence[int]
    new_shown: int
    shadow_new_shown: int
    decided_at: float

    @property
    def common(self) -> int:
        """How many items stand in both."""
        return len(set(self.postings) & set(self.shadow_postings))


class ShadowSums(Struct, frozen=True):
    """Sums over the requests that were compared and given these feeds."""

    feed: int
    shadow_feed: int
    compared: int
    shown: int
    shadow_shown: int
    common: int
    equal: int
    same_first: int
    new_shown: int
    shadow_new_shown: int


class RunningExperiments(Protocol):
    """Which experiments run now. Raises StoreUnavailableError."""

    async def running(self, tenant_id: int) -> list[Experiment]:
        """At most one of each mode."""
        ...

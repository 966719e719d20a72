"""What a tenant has set, and the numbers its slugs stand for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from nearcast_config.policy import Policy
from nearcast_ledger.keyring import Keyring

Shares = Mapping[int, Mapping[tuple[int, ...], Mapping[int, float]]]
Realm = Literal["kind", "feed", "scenario", "market", "segment"]


@dataclass(frozen=True, slots=True)
class Revision:
    """One immutable set of knobs, with the number of every slug it names."""

    tenant_id: int
    number: int
    policy: Policy
    kinds: Mapping[str, int]
    feeds: Mapping[str, int]  # with "explore"
    scenarios: Mapping[str, int]
    segments: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RevisionNote:
    """What is said of a revision; equal checksums are equal policies. `created_at` in unix seconds.

    A `contender` was made to be tried, and was never in force.
    """

    number: int
    author: str
    note: str
    checksum: bytes
    created_at: float
    contender: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What a change of policy rests on: the revision that must be in force, 0 for any.

    With a request id the same change is made once, however often it is sent; `asked` are 32 bytes that differ
    where what was asked for does.
    """

    expected: int = 0
    request_id: str = ""
    asked: bytes = bytes(32)


FREELY = Terms()


@dataclass(frozen=True, slots=True)
class Epoch:
    """One published set of feed probabilities.

    `shares` is keyed by market, then by the eligible feeds (their numbers, sorted), then by feed number;
    `segments` has such shares for each segment of which anything is known. `items` says how many each market
    held, where a feed depends on it.
    """

    tenant_id: int
    number: int
    policy_revision: int
    shares: Shares
    published_at: float
    segments: Mapping[int, Shares] = field(default_factory=dict)
    items: Mapping[int, int] = field(default_factory=dict)


class Proposals(Protocol):
    """Takes policies that are tried beside the one in force. Raises StoreUnavailableError."""

    async def propose(self, tenant_id: int, policy: Policy, author: str, note: str) -> Revision:
        """A revision of the next number that is not in force and never will be."""
        ...


class PolicyStore(Protocol):
    """Revisions, epochs and signing keys. Raises StoreUnavailableError, UnreadablePolicyError."""

    async def current(self, tenant_id: int) -> Revision:
        """The revision in force; the default policy becomes revision 1 when there is none."""
        ...

    async def revision(self, tenant_id: int, number: int) -> Revision | None:
        """One revision, in force or not; None when there is none of that number."""
        ...

    async def apply(
        self, tenant_id: int, policy: Policy, author: str, note: str, terms: Terms = FREELY
    ) -> Revision:
        """Make this the revision in force; the same policy again changes nothing.

        RevisionChangedError when another revision is in force than the terms expect, RequestReusedError when
        their request id stands for something else.
        """
        ...

    async def revisions(self, tenant_id: int, below: int, most: int) -> list[RevisionNote]:
        """At most so many revisions with numbers below that one, the newest first."""
        ...

    async def latest_epoch(self, tenant_id: int) -> Epoch | None:
        """The epoch published last."""
        ...

    async def epochs_since(self, tenant_id: int, published_after: float) -> list[Epoch]:
        """Epochs published after that time: what a session may still hold on to."""
        ...

    async def publish(self, epoch: Epoch) -> None:
        """Publish; the number must be new."""
        ...

    async def keyring(self, tenant_id: int) -> Keyring:
        """The signing keys that verify now; one is made when there is none."""
        ...

    async def rotate(self, tenant_id: int) -> Keyring:
        """Make a key that signs once every process knows it; all but it and the one before are retired."""
        ...

"""What a tenant has set, and the numbers its slugs stand for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from nearcast_config.policy import Policy
from nearcast_ledger.keyring import Keyring

Realm = Literal["kind", "feed", "scenario", "market"]


@dataclass(frozen=True, slots=True)
class Revision:
    """One immutable set of knobs, with the number of every slug it names."""

    tenant_id: int
    number: int
    policy: Policy
    kinds: Mapping[str, int]
    feeds: Mapping[str, int]  # with "explore"
    scenarios: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Epoch:
    """One published set of feed probabilities.

    `shares` is keyed by market, then by the eligible feeds (their numbers, sorted), then by feed number.
    """

    tenant_id: int
    number: int
    policy_revision: int
    shares: Mapping[int, Mapping[tuple[int, ...], Mapping[int, float]]]
    published_at: float


class PolicyStore(Protocol):
    """Revisions, epochs and signing keys. Raises StoreUnavailableError, UnreadablePolicyError."""

    async def current(self, tenant_id: int) -> Revision:
        """The revision in force; the default policy becomes revision 1 when there is none."""
        ...

    async def revision(self, tenant_id: int, number: int) -> Revision | None:
        """One revision, in force or not; None when there is none of that number."""
        ...

    async def apply(self, tenant_id: int, policy: Policy, author: str, note: str) -> Revision:
        """Make this the revision in force; the same policy again changes nothing."""
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

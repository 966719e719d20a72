"""What each person has seen lately."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sightings:
    """When one person, known by the hash that tokens carry, was shown these postings, and how much is kept.

    Times are milliseconds since the Unix epoch. Of all that was ever added at most `most` postings are kept,
    those shown last, and none that was shown before `since_ms`.
    """

    tenant_id: int
    subject_hash: bytes
    shown_ms: Mapping[int, int]
    most: int
    since_ms: int
    keep_ms: int


class SeenStore(Protocol):
    """Forgetful by design: whatever is lost only means that something is shown again."""

    async def add(self, sightings: Sequence[Sightings]) -> None:
        """Repeats and any order are harmless. Raises SeenUnavailableError; the others may be added then."""
        ...

    async def seen_since(
        self, tenant_id: int, subject_hashes: Sequence[bytes], since_ms: int, most: int
    ) -> frozenset[int]:
        """Postings shown to a person known by these hashes, of each the last `most`.

        Raises SeenUnavailableError.
        """
        ...

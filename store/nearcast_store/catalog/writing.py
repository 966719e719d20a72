"""The rules of writing items: which version wins, when a new life begins. The same in every adapter."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b

import msgspec

from nearcast_catalogue.checking import MAX_VERSION
from nearcast_catalogue.item import Item, ServedItem
from nearcast_catalogue.posting import Posting, needs_new_posting
from nearcast_store.catalog.protocol import StoredItem, Verdict, WriteResult

_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(frozen=True, slots=True)
class Kept:
    """An item as kept, ended ones included; `item` is without version and etag."""

    item: Item
    posting: int
    version: int
    etag: str
    market: int
    born_at: float
    updated_at: float
    ended_at: float | None = None
    deleted: bool = False  # ended by a call, not by its own expiry

    @property
    def served(self) -> ServedItem:
        """The item as it is shown, with version and etag."""
        item = msgspec.structs.replace(self.item, version=self.version, etag=self.etag)
        return ServedItem(Posting(self.posting), self.version, self.born_at, item, self.market)

    @property
    def stored(self) -> StoredItem:
        """The item as callers read it."""
        return StoredItem(self.served, self.updated_at)

    def result(self, verdict: Verdict, *, created: bool = False) -> WriteResult:
        """The verdict with what is kept now."""
        return WriteResult(verdict, self.version, self.etag, self.posting, created)

    def has_ended(self, now: float) -> bool:
        """Whether this life is over."""
        return needs_new_posting(self.ended_at is not None, self.item.expires_at, now)


@dataclass(frozen=True, slots=True)
class Writing:
    """What one item of a call comes to: what to keep from now on, and the life that ends by it."""

    result: WriteResult
    kept: Kept | None = None
    ends: Kept | None = None


def write(kept: Kept | None, item: Item, postings: Iterator[int], now: float, market: int = 0) -> Writing:
    """Judge one item, which lies in this market, against what is kept.

    Version 0 counts up; a higher version is written; the same version again is WRITTEN when it says the same
    and STALE when it does not; a lower one is STALE. After a delete the version of the deleted item will do.
    What has ended and would have ended as it is written now begins no new life.
    """
    said = content(item)
    if kept is not None and item.version == kept.version and not kept.deleted and said == kept.item:
        return Writing(kept.result(Verdict.WRITTEN))
    if item.etag and (kept is None or kept.deleted or item.etag != kept.etag):
        return Writing(kept.result(Verdict.ETAG_MISMATCH) if kept else WriteResult(Verdict.ETAG_MISMATCH))
    if kept is not None and 0 < item.version < kept.version + (not kept.deleted):
        return Writing(kept.result(Verdict.STALE))
    if kept is None or begins_life(kept, item, now):
        written = _keep(said, (next(postings), _next_version(kept, item)), market, now, now)
        unswept = kept if kept is not None and kept.ended_at is None else None
        return Writing(written.result(Verdict.WRITTEN, created=True), written, unswept)
    written = _keep(said, (kept.posting, _next_version(kept, item)), market, kept.born_at, now)
    if kept.ended_at is not None:
        written = replace(written, ended_at=now)
    return Writing(written.result(Verdict.WRITTEN), written)


def begins_life(kept: Kept | None, item: Item, now: float) -> bool:
    """Whether the item needs a posting of its own."""
    return kept is None or (kept.has_ended(now) and not needs_new_posting(False, item.expires_at, now))


def delete(kept: Kept | None, now: float) -> Writing:
    """End a life and leave a tombstone of its version; what is gone already is NOT_FOUND."""
    if kept is None or kept.deleted:
        return Writing(WriteResult(Verdict.NOT_FOUND))
    tombstone = replace(kept, updated_at=now, ended_at=now, deleted=True)
    return Writing(tombstone.result(Verdict.WRITTEN), tombstone, kept if kept.ended_at is None else None)


def end_of(kept: Kept, now: float) -> float:
    """When a life that ends now really ended: at its expiry, if that came first."""
    return min(kept.item.expires_at, now) if kept.item.expires_at is not None else now


def content(item: Item) -> Item:
    """What an item says, whatever version it has."""
    return msgspec.structs.replace(item, version=0, etag="")


def body_of(item: Item) -> bytes:
    """What an item says, as JSON."""
    return _encode(item)


def _keep(said: Item, life: tuple[int, int], market: int, born_at: float, now: float) -> Kept:
    posting, version = life
    head = f"{posting}.{version}.".encode()
    etag = blake2b(head + body_of(said), digest_size=8).hexdigest()
    return Kept(said, posting, version, etag, market, born_at, now)


def _next_version(kept: Kept | None, item: Item) -> int:
    return item.version or min((kept.version if kept else 0) + 1, MAX_VERSION)

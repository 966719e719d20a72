"""One life of an item id: whoever uses a dead id again begins a new one, with statistics of its own."""

from typing import NewType

ItemId = NewType("ItemId", str)
Posting = NewType("Posting", int)


def needs_new_posting(existing_deleted: bool, existing_expires_at: float | None, now: float) -> bool:
    """Return whether the stored life has ended, in unix seconds: deleted, or expired by now."""
    return existing_deleted or (existing_expires_at is not None and existing_expires_at <= now)

"""Setting the keepers back in the log, so that they fold again what a restored Postgres has forgotten."""

from collections.abc import Sequence
from datetime import UTC, datetime

from nearcast_store.log.auditing import Head, RedisLogAudit


class LogTooShortError(Exception):
    """The log no longer reaches back that far."""

    def __init__(self, reaches_back_ms: int) -> None:
        reach = datetime.fromtimestamp(reaches_back_ms / 1000, UTC).isoformat(timespec="milliseconds")
        reach = reach.replace("+00:00", "Z")
        super().__init__(f"the log no longer reaches back that far, only to {reach}; nothing was rewound")
        self.reaches_back_ms = reaches_back_ms


async def rewind_keepers(audit: RedisLogAudit, tenant_ids: Sequence[int], to_ms: int) -> list[Head]:
    """Let every shard be folded again from that time on; those that were further, as they stood.

    What was folded before is known by its identity and not counted again. Raises LogTooShortError, and then
    nothing has changed; StoreError.
    """
    heads = [head for head in await audit.heads(tenant_ids) if head.has_group]
    reach_ms = max(map(_reach_ms, heads), default=0)
    if to_ms < reach_ms:
        raise LogTooShortError(reach_ms)
    ahead = [head for head in heads if head.delivered >= (to_ms, 0)]
    for head in ahead:
        await audit.set_back(head, to_ms)
    return ahead


def _reach_ms(head: Head) -> int:
    """From when on the shard holds every entry it ever got."""
    if head.added is not None and head.added == head.length:
        return 0
    if head.forgotten_ms is not None:
        return head.forgotten_ms
    # Somebody else made it shorter.
    return head.first[0] if head.length else head.last[0] + 1

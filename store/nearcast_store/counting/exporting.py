"""The ledger's rows as a stream, by the time of the decision or event that identifies them."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from nearcast_store.counting.recounting import LONGEST_S, NO_LIMIT
from nearcast_store.postgres import Pool
from nearcast_store.queries import queries

_EVENTS = queries("events")
_POLICIES = queries("policies")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = UUID(int=2**128 - 1)
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Span:
    """From `since_ms` on and before `until_ms`, in milliseconds since the Unix epoch."""

    since_ms: int = 0
    until_ms: int | None = None
    kind: str | None = None


class UnknownKindError(Exception):
    """The tenant has no such kind of event."""


async def stream_events(pool: Pool, tenant_id: int, span: Span) -> AsyncGenerator[Mapping[str, Any], None]:
    """Every row of one moment, its slugs spelled out, in the order of the ledger's key.

    Memory stays flat however many there are. Raises StoreUnavailableError, UnknownKindError.
    """
    async with pool.transaction("repeatable_read", readonly=True) as connection:
        await connection.execute(NO_LIMIT)
        slugs = {
            (row["realm"], row["number"]): row["slug"]
            for row in await connection.fetch(_POLICIES["list_slugs"], tenant_id)
        }
        arguments = (tenant_id, *_bounds(span), _kind_number(slugs, span.kind))
        cursor = connection.cursor(_EVENTS["list_events"], *arguments, prefetch=_AT_ONCE, timeout=LONGEST_S)
        async for row in cursor:
            spelled = dict(row)
            for realm in ("kind", "feed", "scenario"):
                number = spelled[realm]
                spelled[realm] = slugs.get((realm, number), number)
            yield spelled


def _bounds(span: Span) -> tuple[date, date, UUID, UUID]:
    last = _LAST if span.until_ms is None else UUID(int=span.until_ms << 80)
    last_day = date.max if span.until_ms is None else _day(span.until_ms)
    return _day(span.since_ms), last_day, UUID(int=span.since_ms << 80), last


def _day(ms: int) -> date:
    return (_EPOCH + timedelta(milliseconds=ms)).date()


def _kind_number(slugs: Mapping[tuple[str, int], str], kind: str | None) -> int | None:
    if kind is None:
        return None
    for (realm, number), slug in slugs.items():
        if (realm, slug) == ("kind", kind):
            return number
    known = sorted(slug for (realm, _), slug in slugs.items() if realm == "kind")
    raise UnknownKindError(f"there is no kind {kind}; known: {', '.join(known) or 'none'}")

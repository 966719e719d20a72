"""Rows of `items` and `outbox` as values, and back."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
from asyncpg import Record

from nearcast_catalogue.item import Item, ServedItem
from nearcast_store.catalog.writing import Kept, body_of
from nearcast_store.errors import SchemaError
from nearcast_store.postgres import arrays_of

T = TypeVar("T")

_decode_item = msgspec.json.Decoder(Item).decode
_decode_served = msgspec.json.Decoder(ServedItem).decode
_encode = msgspec.json.Encoder().encode


def kept_of(row: Record) -> Kept:
    """One row of `items`."""
    return Kept(
        _read(_decode_item, row["body"]),
        row["posting"],
        row["version"],
        row["etag"],
        row["market"],
        row["born_at"],
        row["updated_at"],
        row["ended_at"],
        row["deleted"],
    )


def item_columns(kept: Sequence[Kept]) -> Sequence[Sequence[Any]]:
    """What `write_items` takes, column by column."""
    return arrays_of(
        [
            (
                k.item.item_id,
                k.posting,
                k.version,
                k.etag,
                body_of(k.item).decode(),
                k.market,
                k.born_at,
                k.updated_at,
                None if k.deleted else k.item.expires_at,
                k.ended_at,
            )
            for k in kept
        ]
    )


def posting_columns(kept: Sequence[Kept]) -> Sequence[Sequence[Any]]:
    """What `write_postings` takes, column by column."""
    return arrays_of(
        [
            (
                k.posting,
                k.item.item_id,
                k.item.category,
                k.item.owner,
                k.market,
                k.item.title,
                k.born_at,
            )
            for k in kept
        ]
    )


def served_json(served: ServedItem) -> str:
    """What the outbox carries."""
    return _encode(served).decode()


def served_of(text: str | None) -> ServedItem | None:
    """What the outbox carried."""
    return None if text is None else _read(_decode_served, text)


def _read(decode: Callable[[str], T], text: str) -> T:
    try:
        return decode(text)
    except msgspec.MsgspecError as error:
        raise SchemaError(f"an item was written by another version of nearcast: {error}") from error

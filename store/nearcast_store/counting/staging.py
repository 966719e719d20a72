"""Ledger rows as COPY takes them in binary; packed here by columns, as a driver would look at every field."""

import struct
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from nearcast_ledger.event import AcceptedEvent, Unlearned
from nearcast_ledger.kinds import position_bucket
from nearcast_store.counting.columns import Column, LedgerRows, hours_of
from nearcast_store.errors import DataRefusedError
from nearcast_store.log.packing import NO_TIME_US

_OF_ALL = (
    *("ordinal", "origin_id", "tenant_id", "identity_day", "received_at", "durability", "posting"),
    *("identity_kind", "kind", "learned", "unlearned_reason", "implied", "rewards_feed", "cascades"),
)
_OF_DECISIONS = (
    *("feed", "feed_propensity", "scenario", "market", "policy_revision", "policy_epoch", "explore"),
    *("key_id", "bucket", "subject_hash", "session_hash"),
)
_OF_MOST = (*_OF_ALL, *_OF_DECISIONS, "position", "position_bucket", "occurred_at", "dwell_ms", "gateway_id")
_OF_FEW = ("event_id", "item_id", "user_id", "anonymous_id", "session_id", "value", "properties")

_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END = struct.pack(">h", -1)
_NULL = struct.pack(">i", -1)
_LENGTH = struct.Struct(">i")
_FLOAT = struct.Struct(">id")
_JSONB_VERSION = b"\x01"
# What Postgres counts days and microseconds from, as Unix does.
_FIRST_DAY = date(2000, 1, 1).toordinal() - date(1970, 1, 1).toordinal()
_FIRST_US = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
# The last stands for all beyond.
_POSITION_BUCKETS = np.array([position_bucket(position) for position in range(52)])


class Copy(NamedTuple):
    """All of a COPY in binary, and which columns it fills."""

    columns: Sequence[str]
    raw: bytes


def packed(rows: LedgerRows) -> Copy:
    """With the place of each row. Raises DataRefusedError for a number that its column cannot hold."""
    columns = (*_OF_MOST, *_OF_FEW) if (rows.rows["detail"] >= 0).any() else _OF_MOST
    bodies, tails = _bodies(rows, len(columns)), _tails(rows, columns)
    return Copy(columns, b"".join((_HEAD, *chain.from_iterable(zip(bodies, tails, strict=True)), _END)))


def _bodies(rows: LedgerRows, columns: int) -> list[bytes]:
    """What is as long in all rows that leave out the same."""
    table = rows.rows
    timed, dwelt = table["occurred_at_us"] != NO_TIME_US, table["dwell_ms"] >= 0
    shapes = table["claimed"] + 2 * timed + 4 * dwelt
    bodies = [b""] * len(rows)
    for shape in np.flatnonzero(np.bincount(shapes)):
        places = np.flatnonzero(shapes == shape)
        for place, body in zip(places.tolist(), _alike(rows.where(places), places, columns), strict=True):
            bodies[place] = body
    return bodies


def _alike(rows: LedgerRows, ordinals: Column, columns: int) -> list[bytes]:
    """Of rows that leave out the same."""
    table, one = rows.rows, rows.rows[0]
    block = _Block(len(table))
    block.put(">i2", columns)
    block.add(">i4", ordinals)
    block.add("V16", _halves(table))
    block.add(">i4", rows.shared("tenant_id"))
    block.add(">i4", rows.days() - _FIRST_DAY)
    block.add(">i8", rows.shared("received_at_us") - _FIRST_US)
    block.add(">i2", rows.shared("durability"))
    block.add(">i8", table["identity_posting"])
    block.add(">i2", table["identity_kind"])
    block.add(">i2", table["kind"])
    block.add("?", table["unlearned"] == Unlearned.LEARNED)
    block.add(">i2", table["unlearned"])
    block.add("?", table["implied"])
    block.add("?", table["rewards_feed"])
    block.add("?", table["cascades"])
    if one["claimed"]:
        decisions = _decisions(rows)
        block.put(f"V{decisions.itemsize}", decisions)
        block.add(">i2", table["position"])
        block.add(">i2", _POSITION_BUCKETS[np.minimum(table["position"], len(_POSITION_BUCKETS) - 1)])
    else:
        block.add_nulls(len(_OF_DECISIONS) + 2)
    if one["occurred_at_us"] != NO_TIME_US:
        block.add(">i8", _since_first_us(table["occurred_at_us"]))
    else:
        block.add_nulls(1)
    if one["dwell_ms"] >= 0:
        block.add(">i4", table["dwell_ms"])
    else:
        block.add_nulls(1)
    return block.rows()


def _decisions(rows: LedgerRows) -> Column:
    """For each row what its decision says, packed once for all rows of the decision."""
    used, places = np.unique(rows.rows["decision"], return_inverse=True)
    said = rows.decisions[used]
    block = _Block(len(used))
    block.add(">i2", said["feed"])
    block.add(">f8", said["feed_propensity"])
    block.add(">i2", said["scenario"])
    block.add(">i4", said["market"])
    block.add(">i8", said["policy_revision"])
    block.add(">i8", said["policy_epoch"])
    block.add("?", said["explore"] != 0)
    block.add(">i2", said["key_id"])
    block.add(">i4", hours_of(said["high"]))
    block.add("V8", said["subject_hash"])
    block.add("V8", said["session_hash"])
    return block.table()[places]


class _Block:
    """So many rows of fields, each behind its length in bytes; a column is one array."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._columns: list[tuple[str, Any]] = []

    def put(self, form: str, values: Any) -> None:
        """Without a length; one value is that of all rows."""
        self._columns.append((form, values))

    def add(self, form: str, values: Column) -> None:
        """Raises DataRefusedError for a number that does not fit."""
        kind = np.dtype(form)
        if kind.kind == "i" and self._size:
            limits, least, most = np.iinfo(kind), values.min(), values.max()
            if least < limits.min or most > limits.max:
                raise DataRefusedError(
                    f"Postgres cannot store this number: {least if least < limits.min else most}"
                )
        self.put(">i4", kind.itemsize)
        self.put(form, values)

    def add_nulls(self, count: int) -> None:
        self.put(f"V{count * len(_NULL)}", np.void(_NULL * count))

    def table(self) -> Column:
        """Each row as one value."""
        table = np.empty(
            self._size, np.dtype([(f"f{place}", form) for place, (form, _) in enumerate(self._columns)])
        )
        for place, (_, values) in enumerate(self._columns):
            table[f"f{place}"] = values
        return table.view(f"V{table.itemsize}")

    def rows(self) -> list[bytes]:
        rows: list[bytes] = self.table().tolist()
        return rows


def _halves(table: Column) -> Column:
    halves = np.empty(len(table), [("high", ">u8"), ("low", ">u8")])
    halves["high"], halves["low"] = table["high"], table["low"]
    return halves.view("V16")


def _since_first_us(unix_us: Column) -> Column:
    if unix_us.min() < NO_TIME_US + _FIRST_US:
        raise DataRefusedError(f"Postgres cannot store this time: {unix_us.min()}")
    since: Column = unix_us - _FIRST_US
    return since


def _tails(rows: LedgerRows, columns: Sequence[str]) -> list[bytes]:
    """What is of any length: the gateway's name, and what most events do not say."""
    gateways = [_field(source.gateway_id.encode(), empty=True) for source in rows.sources]
    tails = [gateways[source] for source in rows.rows["source"].tolist()]
    if len(columns) == len(_OF_MOST):
        return tails
    details = [_details(said) for said in rows.details]
    nothing = _NULL * len(_OF_FEW)
    return [
        tail + (details[detail] if detail >= 0 else nothing)
        for tail, detail in zip(tails, rows.rows["detail"].tolist(), strict=True)
    ]


def _details(event: AcceptedEvent) -> bytes:
    names = (event.item_id, event.user_id, event.anonymous_id, event.session_id)
    return b"".join(
        (
            _field(event.event_id.bytes if event.event_id else b""),
            *(_field(name.encode()) for name in names),
            _NULL if event.value is None else _FLOAT.pack(8, event.value),
            _field(_JSONB_VERSION + event.properties if event.properties else b""),
        )
    )


def _field(raw: bytes, *, empty: bool = False) -> bytes:
    return _LENGTH.pack(len(raw)) + raw if raw or empty else _NULL

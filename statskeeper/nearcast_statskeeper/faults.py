"""What makes an event impossible to store, judged before it can spoil the batch it is in."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import msgspec
import numpy as np

from nearcast_ledger.claims import Claims
from nearcast_ledger.event import AcceptedEvent, Entry
from nearcast_ledger.horizon import FUTURE_TOLERANCE_S, HORIZON_HOURS
from nearcast_ledger.requestid import is_uuid7, uuid7_ms
from nearcast_store.counting.columns import Column, LedgerRows, ms_of
from nearcast_store.log.packing import NO_TIME_US

SMALLINT_MAX = 2**15 - 1
INTEGER_MAX = 2**31 - 1
BIGINT_MAX = 2**63 - 1
# From the beginning of the year 1 to the end of the year 9999, what a time can be.
FIRST_US = -62_135_596_800_000_000
LAST_US = 253_402_300_799_999_999
# The years 2000 to 2199: days are reckoned from when an entry was received, some back and some ahead.
FIRST_RECEIVED_US = 946_684_800_000_000
LAST_RECEIVED_US = 7_258_118_399_999_999

# The gateway judged age by the clock it stamped the entry with; only an entry that no gateway wrote is
# further off than this, and it would ask for a partition that nobody plans.
_STAMP_SLACK_MS = 3_600_000
_OLDEST_MS = HORIZON_HOURS * 3_600_000 + _STAMP_SLACK_MS
_NEWEST_MS = FUTURE_TOLERANCE_S * 1000 + _STAMP_SLACK_MS
# An escape of NUL: a backslash that is not itself escaped, then u0000.
_NUL_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_OBJECT = msgspec.json.Decoder(dict[str, object])


class DeadReason(StrEnum):
    """Why something is among the dead letters; operators search by these."""

    UNDECODABLE = "UNDECODABLE"
    WRONG_TENANT = "WRONG_TENANT"
    TEXT_NUL = "TEXT_NUL"
    ID_FORMAT = "ID_FORMAT"
    NUMBER_RANGE = "NUMBER_RANGE"
    TIME_RANGE = "TIME_RANGE"
    PROPERTIES_FORMAT = "PROPERTIES_FORMAT"
    STORE_REFUSED = "STORE_REFUSED"
    CRASH_POISON = "CRASH_POISON"
    UNFORESEEN = "UNFORESEEN"


@dataclass(frozen=True, slots=True)
class Fault:
    """Reason, and in words what is wrong and what would be right."""

    reason: DeadReason
    detail: str


def fault_of_entry(entry: Entry, tenant_id: int) -> Fault | None:
    """What is wrong with an entry of this tenant's log as a whole."""
    if entry.tenant_id != tenant_id:
        return Fault(
            DeadReason.WRONG_TENANT, f"tenant_id is {entry.tenant_id} in the log of tenant {tenant_id}"
        )
    if "\0" in entry.gateway_id:
        return Fault(DeadReason.TEXT_NUL, "gateway_id contains a NUL character")
    if not FIRST_RECEIVED_US <= entry.received_at_us <= LAST_RECEIVED_US:
        return Fault(
            DeadReason.TIME_RANGE,
            f"received_at_us is {entry.received_at_us}, must be in the years 2000 to 2199",
        )
    return None


def fault_of_event(event: AcceptedEvent, received_at_us: int) -> Fault | None:
    """What is wrong with one event of a sound entry."""
    for check in _CHECKS:
        fault = check(event)
        if fault is not None:
            return fault
    return _identity_fault(event, received_at_us)


def sound(rows: LedgerRows) -> Column:
    """Which rows of sound entries have no fault, all at once; of those that say more than claims, none."""
    table, decided = rows.rows, rows.decisions
    age_ms = rows.shared("received_at_us") // 1000 - ms_of(table["high"])
    times_us = table["occurred_at_us"]
    sound_decisions = (
        (decided["feed_propensity"] >= 0)
        & (decided["feed_propensity"] <= 1)
        & (decided["feed"] <= SMALLINT_MAX)
        & (decided["scenario"] <= SMALLINT_MAX)
        & (decided["market"] <= INTEGER_MAX)
        & (decided["policy_revision"] >= 0)
        & (decided["policy_epoch"] >= 0)
        & (decided["key_id"] <= SMALLINT_MAX)
        & (decided["high"] >> np.uint64(12) & np.uint64(15) == 7)
        & (decided["low"] >> np.uint64(62) == 2)
    )
    found: Column = (
        table["claimed"]
        & (table["detail"] < 0)
        & sound_decisions[table["decision"]]
        & (table["kind"] >= 1)
        & (table["kind"] <= SMALLINT_MAX)
        & (table["posting"] >= 1)
        & (table["position"] <= SMALLINT_MAX)
        & (table["dwell_ms"] <= INTEGER_MAX)
        & ((times_us == NO_TIME_US) | (times_us >= FIRST_US) & (times_us <= LAST_US))
        & (age_ms >= -_NEWEST_MS)
        & (age_ms <= _OLDEST_MS)
    )
    return found


def _identity_fault(event: AcceptedEvent, received_at_us: int) -> Fault | None:
    name, origin = (
        ("event_id", event.event_id) if event.claims is None else ("request_id", event.claims.request_id)
    )
    if origin is None:
        return Fault(DeadReason.ID_FORMAT, "there are neither claims nor an event_id to identify it by")
    if not is_uuid7(origin):
        return Fault(DeadReason.ID_FORMAT, f"{name} is {origin}, which is no UUIDv7 and so has no day")
    age_ms = received_at_us // 1000 - uuid7_ms(origin)
    if not -_NEWEST_MS <= age_ms <= _OLDEST_MS:
        return Fault(
            DeadReason.TIME_RANGE,
            f"{name} is {age_ms / 3_600_000:.1f} hours older than the entry;"
            f" a gateway accepts at most {HORIZON_HOURS}",
        )
    return None


def _text_fault(event: AcceptedEvent) -> Fault | None:
    if "\0" not in event.item_id + event.user_id + event.anonymous_id + event.session_id:
        return None
    for name in ("item_id", "user_id", "anonymous_id", "session_id"):
        if "\0" in getattr(event, name):
            return Fault(DeadReason.TEXT_NUL, f"{name} contains a NUL character")
    return None


def _number_fault(event: AcceptedEvent) -> Fault | None:
    fault = _outside("kind", event.kind, 1, SMALLINT_MAX)
    if fault is None and event.claims is not None:
        fault = _claims_fault(event.claims)
    if fault is None and event.value is not None and not 0 <= event.value < math.inf:
        fault = Fault(DeadReason.NUMBER_RANGE, f"value is {event.value}, must be finite and not negative")
    if fault is None and event.dwell_ms is not None:
        fault = _outside("dwell_ms", event.dwell_ms, 0, INTEGER_MAX)
    return fault


def _claims_fault(claims: Claims) -> Fault | None:
    if not 0 <= claims.feed_propensity <= 1:
        return Fault(
            DeadReason.NUMBER_RANGE, f"feed_propensity is {claims.feed_propensity}, must be in [0, 1]"
        )
    if _fits(claims):
        return None
    return (
        _outside("posting", claims.posting, 1, BIGINT_MAX)
        or _outside("position", claims.position, 0, SMALLINT_MAX)
        or _outside("feed", claims.feed, 0, SMALLINT_MAX)
        or _outside("scenario", claims.scenario, 0, SMALLINT_MAX)
        or _outside("market", claims.market, 0, INTEGER_MAX)
        or _outside("policy_revision", claims.policy_revision, 0, BIGINT_MAX)
        or _outside("policy_epoch", claims.policy_epoch, 0, BIGINT_MAX)
        or _outside("key_id", claims.key_id, 0, SMALLINT_MAX)
    )


def _fits(claims: Claims) -> bool:
    """Whether every number fits its column, in one look: nearly always so."""
    return (
        1 <= claims.posting <= BIGINT_MAX
        and 0 <= claims.position <= SMALLINT_MAX
        and 0 <= claims.feed <= SMALLINT_MAX
        and 0 <= claims.scenario <= SMALLINT_MAX
        and 0 <= claims.market <= INTEGER_MAX
        and 0 <= claims.policy_revision <= BIGINT_MAX
        and 0 <= claims.policy_epoch <= BIGINT_MAX
        and 0 <= claims.key_id <= SMALLINT_MAX
    )


def _outside(name: str, value: int, least: int, most: int) -> Fault | None:
    if least <= value <= most:
        return None
    return Fault(DeadReason.NUMBER_RANGE, f"{name} is {value}, must be in [{least}, {most}]")


def _time_fault(event: AcceptedEvent) -> Fault | None:
    if event.occurred_at_us is None or FIRST_US <= event.occurred_at_us <= LAST_US:
        return None
    return Fault(DeadReason.TIME_RANGE, f"occurred_at_us is {event.occurred_at_us}, not a time")


def _properties_fault(event: AcceptedEvent) -> Fault | None:
    if not event.properties:
        return None
    try:
        _OBJECT.decode(event.properties)
    except (ValueError, RecursionError) as error:
        return Fault(DeadReason.PROPERTIES_FORMAT, f"properties are no JSON object: {error}")
    if _NUL_ESCAPE.search(event.properties):
        return Fault(DeadReason.TEXT_NUL, "properties contain a NUL character")
    return None


_CHECKS: tuple[Callable[[AcceptedEvent], Fault | None], ...] = (
    _text_fault,
    _number_fault,
    _time_fault,
    _properties_fault,
)

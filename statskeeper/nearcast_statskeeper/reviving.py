"""Giving a dead letter another chance: its events go through the log again, under the identity they had."""

from dataclasses import dataclass

from nearcast_ledger.event import Entry
from nearcast_ledger.identity import identity_of
from nearcast_statskeeper.faults import fault_of_entry, fault_of_event
from nearcast_store.counting.letters import PostgresLetters, Settling
from nearcast_store.log.codec import decode_entry
from nearcast_store.log.protocol import EventLog


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a letter stays as it is; the reason is for programs."""

    reason: str
    message: str


async def retry_letter(
    letters: PostgresLetters, log: EventLog, tenant_id: int, letter_id: int
) -> Refusal | None:
    """Append it again, then say so: an end in between leaves it as it was.

    However often it is retried, its events are counted once: the ledger knows their identity. Raises
    StoreError; whether it was appended is unknown then, and it can be retried.
    """
    async with letters.settling(tenant_id, letter_id) as settling:
        if settling is None:
            return _unknown(letter_id)
        entry = await _revivable(settling)
        if isinstance(entry, Refusal):
            return entry
        await log.append(entry)
        await settling.settle("retried", "")
        return None


async def discard_letter(
    letters: PostgresLetters, tenant_id: int, letter_id: int, note: str
) -> Refusal | None:
    """Keep it as a record of what was given up, and why."""
    async with letters.settling(tenant_id, letter_id) as settling:
        if settling is None:
            return _unknown(letter_id)
        letter = settling.letter
        if letter.state != "dead":
            return Refusal("LETTER_SETTLED", f"letter {letter_id} was {letter.state} already")
        await settling.settle("discarded", note)
        return None


async def _revivable(settling: Settling) -> Entry | Refusal:
    """The entry, if the keeper would take it now."""
    letter = settling.letter
    entry = decode_entry(letter.entry)
    if isinstance(entry, str):
        return Refusal("LETTER_FAULTY", f"letter {letter.letter_id}: {entry}")
    fault = fault_of_entry(entry, letter.tenant_id)
    for event in entry.events:
        fault = fault or fault_of_event(event, entry.received_at_us)
    if fault is not None:
        return Refusal("LETTER_FAULTY", f"letter {letter.letter_id}: {fault.detail}")
    first_day = await settling.first_day()
    if first_day and any(identity_of(entry.tenant_id, event).day < first_day for event in entry.events):
        return Refusal(
            "LETTER_TOO_OLD",
            f"letter {letter.letter_id} is of a day before {first_day}, the first that the ledger holds: it"
            " can no longer be told whether its event was counted",
        )
    return entry


def _unknown(letter_id: int) -> Refusal:
    return Refusal("LETTER_UNKNOWN", f"the tenant has no dead letter {letter_id}")

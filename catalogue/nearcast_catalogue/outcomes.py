"""What became of one entry of a batch, as plain values."""

from dataclasses import dataclass
from typing import Literal

from nearcast_catalogue.checking import Violation

Code = Literal["OK", "INVALID_ARGUMENT", "NOT_FOUND", "ABORTED"]
Advice = Literal["NONE", "DROP", "RETRY"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """OK or why not; an OK entry may carry a reason worth knowing."""

    code: Code = "OK"
    reason: str = ""
    message: str = ""
    field: str = ""
    advice: Advice = "NONE"


OK = Outcome()


def refused(violation: Violation, advice: Advice = "DROP") -> Outcome:
    """An entry that breaks a rule."""
    return Outcome("INVALID_ARGUMENT", violation.reason, violation.message, violation.field, advice)

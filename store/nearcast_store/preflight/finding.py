"""What was found wrong with a store: what it is, why it matters, and the command that ends it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from nearcast_store.errors import StoreError

Store = Literal["postgres", "log", "geo"]
STORES: tuple[Store, ...] = ("postgres", "log", "geo")


class Severity(StrEnum):
    """What a finding means for a process."""

    REFUSE = "refuse"  # it does not become ready, or ceases to be
    WAIT = "wait"  # it is not ready yet, and looks again soon
    WARN = "warn"  # it says so and goes on


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it must be. Codes are stable: one may be added, never renamed or reused."""

    code: str
    severity: Severity
    stores: tuple[Store, ...]
    what: str
    why: str
    fix: str

    def told(self) -> str:
        """For people, on three lines."""
        head = f"{self.severity.upper()} {self.code} ({', '.join(self.stores)}): {self.what}"
        return f"{head}\n  why: {self.why}\n  fix: {self.fix}"


class UnsafeStoreError(StoreError):
    """A store forgets what was promised to be kept."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("\n".join(finding.told() for finding in self.findings))

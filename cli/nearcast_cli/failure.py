"""What a command ends with when it fails: a sentence for people, an object for programs."""

import json
from collections.abc import Mapping

import click

INTERRUPTED = 130


class CommandFailedError(click.ClickException):
    """An expected failure. `advice` says what to do; `details` are further plain facts.

    `field` is named as programs know it, `typed` as people have typed it, where that is another name.
    """

    def __init__(
        self,
        message: str,
        *,
        reason: str = "FAILED",
        field: str = "",
        advice: str = "",
        details: Mapping[str, object] | None = None,
        typed: str = "",
    ) -> None:
        super().__init__(message)
        self.typed = typed
        self.reason = reason
        self.field = field
        self.advice = advice
        self.details = dict(details or {})

    def told(self) -> str:
        """For people."""
        name = self.typed or self.field
        field = f"{name}: " if name and name not in self.message else ""
        reason = f" ({self.reason})" if self.reason not in ("", "FAILED") else ""
        advice = f"\n{self.advice}" if self.advice else ""
        return f"{field}{self.message}{reason}{advice}"

    def as_json(self) -> str:
        """For programs: one object."""
        facts = {"reason": self.reason, "message": self.message, "field": self.field, "advice": self.advice}
        known = {name: value for name, value in facts.items() if value}
        return json.dumps({**known, **self.details}, ensure_ascii=False)


class BrokenOffError(CommandFailedError):
    """Interrupted by the user; what was done until then stays."""

    exit_code = INTERRUPTED


def usage_json(error: click.UsageError) -> str:
    """A mistake in the command line, for programs."""
    return json.dumps({"reason": "USAGE", "message": error.format_message()}, ensure_ascii=False)

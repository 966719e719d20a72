"""What the gateway refuses with: each error carries its reason and what a reader needs to act."""

from collections.abc import Mapping, Sequence

from nearcast_catalogue.checking import Violation


class RequestError(Exception):
    """A call that cannot be answered."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.retry_after_s = retry_after_s
        self.violations: Sequence[Violation] = ()


class InvalidRequestError(RequestError):
    """The request breaks rules; each violation names field, rule and value."""

    def __init__(self, violations: Sequence[Violation], metadata: Mapping[str, str] | None = None) -> None:
        first = violations[0]
        told = f"{first.field}: {first.message}" if first.field else first.message
        super().__init__(first.reason, told, metadata=metadata)
        self.violations = violations

    @classmethod
    def of(cls, field: str, reason: str, rule: str, **metadata: str) -> "InvalidRequestError":
        """One violation."""
        return cls([Violation(field, reason, rule)], metadata)


class UnauthenticatedError(RequestError):
    """Who calls is not known."""


class ForbiddenError(RequestError):
    """The caller may not do this."""


class NotFoundError(RequestError):
    """There is no such thing for this tenant."""


class ChangedError(RequestError):
    """Somebody else changed it meanwhile; look again and decide anew."""


class UnsupportedError(RequestError):
    """The caller speaks a version that this server does not."""


class ExhaustedError(RequestError):
    """The caller has used up a limit."""


class UnavailableError(RequestError):
    """Something the answer needs does not answer; the same call may succeed later."""


class TooLateError(RequestError):
    """The deadline ended first."""


class FaultError(RequestError):
    """A fault of the server; the reader gets an incident id, the log the cause."""

"""From the errors of the rooms to what a user is told; what is not found here is a fault of ours."""

import errno
from dataclasses import asdict

from nearcast_cli.checkout import command_name
from nearcast_cli.failure import CommandFailedError


def explain(error: BaseException) -> CommandFailedError | None:
    """The failure as it is told, or None when nobody expected it."""
    if isinstance(error, CommandFailedError):
        return error
    return _of_settings(error) or _of_stores(error) or _of_processes(error) or _of_files(error)


def _of_settings(error: BaseException) -> CommandFailedError | None:
    from nearcast_config.problems import SettingsError

    if not isinstance(error, SettingsError):
        return None
    problems = [
        {"key": problem.key, "message": problem.message, "source": problem.source}
        for problem in error.problems
    ]
    return CommandFailedError(
        str(error), reason="SETTINGS_INVALID", field=error.problems[0].key, details={"problems": problems}
    )


def _of_stores(error: BaseException) -> CommandFailedError | None:
    from nearcast_statskeeper.grounding import SourceTenantError
    from nearcast_store.errors import (
        IndexUnavailableError,
        LogUnavailableError,
        SchemaError,
        StoreError,
        StoreUnavailableError,
    )

    if not isinstance(error, StoreError):
        return None
    from nearcast_store.preflight.finding import UnsafeStoreError
    from nearcast_telemetry.logs import redact

    message = redact(str(error))
    reason, advice = "STORE_FAILED", ""
    match error:
        case UnsafeStoreError():
            return CommandFailedError(
                f"the stores are not safe:\n{message}",
                reason="STORE_UNSAFE",
                advice="For development, start with --unsafe or set preflight.enforce = false.",
                details={"findings": [asdict(finding) for finding in error.findings]},
            )
        case StoreUnavailableError():
            reason = "STORE_UNAVAILABLE"
            advice = f"Check --postgres-dsn, or start everything in one place with:  {command_name()} up"
        case SchemaError():
            reason = "SCHEMA_MISMATCH"
        case IndexUnavailableError():
            reason, advice = "INDEX_UNAVAILABLE", "Check --redis-url."
        case LogUnavailableError():
            reason, advice = "LOG_UNAVAILABLE", "Check --redis-url."
        case SourceTenantError():
            reason = "TENANT_UNKNOWN"
            advice = f"Name another, or make it:  {command_name()} keys create --tenant SLUG"
    return CommandFailedError(message, reason=reason, advice=advice)


def _of_processes(error: BaseException) -> CommandFailedError | None:
    from nearcast_cli.embedded.errors import EmbeddedError
    from nearcast_telemetry.endpoint import EndpointError
    from nearcast_town.backend import BackendRefusedError, BackendUnavailableError

    if isinstance(error, EmbeddedError):
        return CommandFailedError(str(error), reason=_reason_of(error))
    if isinstance(error, EndpointError) or type(error).__name__ == "PortInUseError":
        return CommandFailedError(str(error), reason="PORT_IN_USE")
    if isinstance(error, BackendRefusedError | BackendUnavailableError):
        return CommandFailedError(f"the town was turned away: {error}", reason=_reason_of(error))
    return None


def _reason_of(error: BaseException) -> str:
    """StateInUseError is STATE_IN_USE."""
    name = type(error).__name__.removesuffix("Error")
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name).lstrip("_")


def _of_files(error: BaseException) -> CommandFailedError | None:
    """A file that the user named; a broken pipe is no failure and never comes here."""
    if not isinstance(error, OSError) or error.filename is None:
        return None
    said = error.strerror or errno.errorcode.get(error.errno or 0, type(error).__name__)
    return CommandFailedError(f"{error.filename}: {said}", reason="FILE_UNUSABLE")

"""Request ids on the command line."""

from uuid import UUID

import click


def to_request_id(text: str) -> UUID:
    """What an answer named its decision; click.BadParameter for anything else."""
    from nearcast_ledger.requestid import is_uuid7, parse_uuid

    found = parse_uuid(text)
    if found is None or not is_uuid7(found):
        raise click.BadParameter(
            f"must be a request id as an answer names it (a UUIDv7), got {text!r}", param_hint="'REQUEST_ID'"
        )
    return found

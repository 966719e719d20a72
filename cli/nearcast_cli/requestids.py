"""Ids on the command line: of requests, and of items that are asked about."""

from collections.abc import Sequence
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


def check_item_ids(item_ids: Sequence[str]) -> None:
    """Refuse what names no item, and what is named twice, with click.BadParameter."""
    from nearcast_catalogue.checking import check_id

    for place, item_id in enumerate(item_ids):
        if problems := check_id("item_id", item_id):
            raise click.BadParameter(problems[0].message, param_hint="'--item'")
        if item_id in item_ids[:place]:
            raise click.BadParameter(f"{item_id} is named twice", param_hint="'--item'")

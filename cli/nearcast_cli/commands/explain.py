"""nearcast explain: what a logged decision was made from, and what became of any item in it."""

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import click

from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.requestids import check_item_ids, to_request_id
from nearcast_cli.tenant import tenant_option

if TYPE_CHECKING:
    from nearcast_server.retelling import DecisionTold


class NotLoggedError(CommandFailedError):
    """As `replay` ends where there is no record."""

    exit_code = 3

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(
            f"{message} ({cause})",
            reason="DECISION_NOT_LOGGED",
            field="request_id",
            typed="REQUEST_ID",
            details={"cause": cause},
        )


@click.command("explain")
@click.argument("request_id")
@click.option("--item", "item_ids", multiple=True, metavar="ID", help="An item to tell of, shown or not.")
@tenant_option
@database_options
@json_option
def command(
    request_id: str, item_ids: tuple[str, ...], tenant: str, database: Database, as_json: bool
) -> int:
    """What was known of items in a logged decision, which rules touched them, and how probable it all was.

    REQUEST_ID is what the answer said. Without --item the items that were shown are told of. Chances are
    exact where a slate is the best by independent draws, otherwise shares of 2,000 draws. Exit status: 3 not
    logged, with the cause; 2 for an id that is none; 1 for any other failure.
    """
    from nearcast_cli.printing import print_message
    from nearcast_cli.retellings import tell_decision
    from nearcast_server.rpc.retold import to_decision

    name = to_request_id(request_id)
    check_item_ids(item_ids)
    told = asyncio.run(_tell(database, tenant, name, item_ids))
    if as_json:
        print_message(to_decision(told))
    else:
        tell_decision(told)
    return 0


async def _tell(
    database: Database, tenant: str, request_id: UUID, item_ids: tuple[str, ...]
) -> "DecisionTold":
    import time

    from nearcast_cli.finding import require_dsn
    from nearcast_cli.ledgers import open_ledger
    from nearcast_server.errors import NotFoundError
    from nearcast_server.retelling import Teller
    from nearcast_store.catalog.postgres import PostgresCatalogStore
    from nearcast_store.decisions.postgres import PostgresDecisionStore

    process = database.process({})
    async with open_ledger(require_dsn(process, database.state)) as ledger:
        teller = Teller(
            PostgresDecisionStore(ledger.pool),
            PostgresCatalogStore(ledger.pool),
            ledger.records.policies,
            process.keeper.decision_keep_days,
            time.time,
            most_work=None,
        )
        try:
            return await teller.tell(await ledger.records.tenant_id(tenant), request_id, item_ids)
        except NotFoundError as error:
            raise NotLoggedError(error.message, str(error.metadata["cause"])) from error

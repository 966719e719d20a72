"""nearcast explain: what a logged decision was made from, and what became of any item in it."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import click

from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.requestids import to_request_id
from nearcast_cli.tenant import tenant_option

if TYPE_CHECKING:
    from nearcast_server.retelling import DecisionTold, ItemTold

_MOST_PLACES_SHOWN = 3
_STANDINGS = {
    "SHOWN": "shown",
    "NOT_CHOSEN": "a candidate, and others were chosen",
    "LEFT_OUT": "no candidate: `recommend --explain-item` says why",
    "NOT_FOUND": "there is no such item",
}


@click.command("explain")
@click.argument("request_id")
@click.option("--item", "item_ids", multiple=True, metavar="ID", help="An item to tell of, shown or not.")
@tenant_option
@database_options
@json_option
def command(
    request_id: str, item_ids: tuple[str, ...], tenant: str, database: Database, as_json: bool
) -> int:
    """What was believed of items in a logged decision, and how probable it was that they stood there.

    REQUEST_ID is what the answer said. Without --item the items that were shown are told of. Exact where a
    slate is the best by independent draws, otherwise drawn again 10,000 times.
    """
    from nearcast_cli.printing import print_message
    from nearcast_server.rpc.retold import to_decision

    told = asyncio.run(_tell(database, tenant, to_request_id(request_id), item_ids))
    if as_json:
        print_message(to_decision(told))
    else:
        _show(told)
    return 0


async def _tell(
    database: Database, tenant: str, request_id: UUID, item_ids: tuple[str, ...]
) -> "DecisionTold":
    import time

    from nearcast_cli.finding import require_dsn
    from nearcast_cli.governing import failed_command
    from nearcast_cli.ledgers import open_ledger
    from nearcast_server.errors import RequestError
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
        except RequestError as error:
            raise failed_command(error) from error


def _show(told: "DecisionTold") -> None:
    said, outcome = told.record.circumstances, told.record.outcome
    moment = datetime.fromtimestamp(said.decided_at, UTC).isoformat(timespec="milliseconds")
    click.echo(
        f"{said.request_id} of {moment}, logged because of {said.reason}: feed {outcome.feed}"
        f" (propensity {outcome.propensity:.6g}), {len(outcome.postings)} of {said.eligible} candidates,"
        f" scenario {said.scenario}, policy revision {said.policy_revision}, epoch {said.policy_epoch},"
        f" by {said.build}"
    )
    click.echo(
        f"Made again: {told.replayed.status.replace('_', ' ')}"
        + (f" ({told.replayed.message})" if told.replayed.message else "")
    )
    for item in told.items:
        _show_item(item)


def _show_item(item: "ItemTold") -> None:
    from nearcast_cli.printing import print_table

    place = f"#{item.rank}, score {item.score:.4g}" if item.score is not None else _STANDINGS[item.standing]
    click.echo(f"\n{item.item_id} (posting {item.posting}): {place}")
    if item.kinds:
        print_table(
            ("kind", ">weight", ">posterior a", ">b", ">draw"),
            [
                (kind.kind, f"{kind.weight:g}", f"{kind.a:.2f}", f"{kind.b:.2f}", f"{kind.draw:.4f}")
                for kind in item.kinds
            ],
        )
    if item.chances:
        chances = ", ".join(f"{chance:.3g}" for chance in item.chances[:_MOST_PLACES_SHOWN])
        here = f"; at its own {item.chances[item.rank - 1]:.3g}" if item.rank > _MOST_PLACES_SHOWN else ""
        click.echo(
            f"Chance at the first places: {chances}{here}; anywhere in the answer {sum(item.chances):.3g}"
        )

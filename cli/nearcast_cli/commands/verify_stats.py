"""nearcast verify-stats: whether the counts are what the ledger's rows say."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.tenant import any_tenant_option

if TYPE_CHECKING:
    from nearcast_statskeeper.verifying import Verdict
    from nearcast_store.counting.naming import Names
    from nearcast_store.counting.recounting import Difference


@click.command("verify-stats")
@click.option(
    "--show",
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Differences of each check to print in full; all are counted.",
)
@any_tenant_option
@database_options
@json_option
def command(show: int, tenant: str | None, database: Database, as_json: bool) -> int:
    """Count everything again from the ledger's rows; exit status 1 when anything differs.

    Counts, trials and feeds are compared both ways with what other SQL than the fold's makes of the rows, in
    one transaction, so keepers may go on. Also: every act has its impression, no feed has more rewards than
    trials, every shard's numbers add up. Counts of days that were dropped are named, not checked. Beside the
    number of a posting stands its item id, beside those of kind, feed and scenario their slugs.
    """
    verdict, names = asyncio.run(_verify(database.find(), tenant, show))
    if as_json:
        from nearcast_cli.printing import print_json

        print_json(_plain(verdict, names))
    else:
        _tell(verdict, names)
    return 0 if verdict.clean else 1


async def _verify(dsn: str, tenant: str | None, show: int) -> "tuple[Verdict, Names]":
    from nearcast_cli.ledgers import open_ledger
    from nearcast_statskeeper.verifying import verify_stats
    from nearcast_store.counting.naming import read_names

    async with open_ledger(dsn) as ledger:
        verdict = await verify_stats(ledger.pool, show, await ledger.tenant_id(tenant))
        return verdict, await read_names(ledger.pool, verdict.differences)


def _tell(verdict: "Verdict", names: "Names") -> None:
    from nearcast_cli.printing import print_table

    rows = [
        (
            each.slug,
            *map(str, (each.events, each.learned, each.implied, each.counts, each.unchecked)),
            str(verdict.found_for(each.tenant_id)),
        )
        for each in verdict.summaries
    ]
    columns = ("tenant", ">events", ">learned", ">implied", ">counts", ">not checked", ">differences")
    print_table(columns, rows)
    slugs = {each.tenant_id: each.slug for each in verdict.summaries}
    for difference in verdict.differences:
        click.echo(_sentence(difference, slugs, names))
    unshown = sum(verdict.found.values()) - len(verdict.differences)
    if unshown:
        click.echo(f"… and {unshown} more; --show says how many are printed.")
    if verdict.clean:
        click.echo("Clean: every count is what the ledger's rows say.")
    else:
        click.echo(f"Not clean. Make the counts again from the rows with:  {command_name()} rebuild stats")


def _sentence(difference: "Difference", slugs: Mapping[int, str], names: "Names") -> str:
    from nearcast_store.counting.naming import names_in

    tenant = slugs.get(difference.tenant_id, str(difference.tenant_id))
    called = names_in(difference, names)
    numbered = {
        name: f"{value} ({called[name]})" if name in called else value
        for name, value in difference.key.items()
    }
    key = _words({"tenant": tenant, **numbered})
    stored, recounted = _words(difference.stored), _words(difference.recounted)
    return f"{difference.check}: {key}: stored {stored or 'nothing'}, must be {recounted or 'nothing'}"


def _words(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={_text(value)}" for name, value in values.items())


def _text(value: Any) -> Any:
    """What JSON and people can read."""
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, int | str | None) else str(value)


def _plain(verdict: "Verdict", names: "Names") -> dict[str, object]:
    from nearcast_store.counting.naming import names_in

    slugs = {each.tenant_id: each.slug for each in verdict.summaries}
    return {
        "clean": verdict.clean,
        "firstDay": None if verdict.first_day is None else verdict.first_day.isoformat(),
        "tenants": [
            {
                "tenant": each.slug,
                "events": each.events,
                "learned": each.learned,
                "implied": each.implied,
                "counts": each.counts,
                "unchecked": each.unchecked,
                "differences": {
                    check: number
                    for (tenant, check), number in verdict.found.items()
                    if tenant == each.tenant_id
                },
            }
            for each in verdict.summaries
        ],
        "found": sum(verdict.found.values()),
        "differences": [
            {
                "check": each.check,
                "tenant": slugs.get(each.tenant_id, str(each.tenant_id)),
                "key": {name: _text(value) for name, value in each.key.items()},
                "names": names_in(each, names),
                "stored": {name: _text(value) for name, value in each.stored.items()},
                "recounted": {name: _text(value) for name, value in each.recounted.items()},
            }
            for each in verdict.differences
        ],
    }

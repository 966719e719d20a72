"""nearcast log: the event log between gateways and keepers."""

import asyncio
from typing import TYPE_CHECKING

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.finding import Database, database_options, json_option, redis_option
from nearcast_cli.moment import EXAMPLE, Moment, shown
from nearcast_cli.tenant import any_tenant_option

if TYPE_CHECKING:
    from nearcast_cli.ladder import Ladder
    from nearcast_config.process import ProcessConfig
    from nearcast_statskeeper.balancing import ShardBalance


@click.group("log")
def command() -> None:
    """Look at the event log."""


@command.command("status")
@click.option(
    "--since",
    "since_ms",
    type=Moment(),
    default="1h",
    show_default=True,
    metavar="TIME",
    help=f"Entries to account for: those appended since ({EXAMPLE}), and all that are unfinished.",
)
@any_tenant_option
@redis_option
@database_options
@json_option
def status(
    since_ms: int, tenant: str | None, redis_url: str | None, database: Database, as_json: bool
) -> int:
    """Show every shard of the log, and whether it balances; exit status 1 when an event is missing.

    The equation is accepted = counted + duplicate + dead + in flight. Accepted are the events in the log's
    own entries. Each is looked for: counted when the ledger's row came with that entry, duplicate when the
    ledger holds its identity from elsewhere, dead when a dead letter names it, in flight when its entry is
    unread or not acknowledged. Anything else is missing: it was acknowledged and lost. Vanished are entries
    that Redis removed before a keeper had read them, where it counts them (Redis 7 or Valkey).

    The last line says how the log presses and what gateways make of it (docs/overload.md): the level of
    admission by backlog and memory. Appends that are slow are known to each gateway alone: its /readyz says
    where it stands.

    The columns of "folded in all" are what the keepers added up since the beginning, entries that were folded
    twice included.
    """
    balances, slugs, ladder = asyncio.run(_balance(_settings(database, redis_url), tenant, since_ms))
    balanced = all(each.balanced for each in balances)
    if as_json:
        from nearcast_cli.printing import print_json

        shards = [_plain(each, slugs[each.head.tenant_id]) for each in balances]
        told = {"balanced": balanced, "since": shown(since_ms), "admission": ladder.plain()}
        print_json({**told, "shards": shards})
    else:
        tell_balances(balances, slugs, since_ms)
        click.echo(ladder.told())
    return 0 if balanced else 1


def _settings(database: Database, redis_url: str | None) -> "ProcessConfig":
    from nearcast_cli.ledgers import with_redis

    return with_redis(database, redis_url)


async def _balance(
    process: "ProcessConfig", tenant: str | None, since_ms: int
) -> "tuple[list[ShardBalance], dict[int, str], Ladder]":
    import time

    from nearcast_cli.ladder import read_ladder
    from nearcast_cli.ledgers import open_audit, open_ledger
    from nearcast_statskeeper.balancing import balance_log
    from nearcast_store.counting.accounting import PostgresAccounts

    async with open_ledger(process.postgres.dsn) as ledger, open_audit(process) as audit:
        slugs = dict(await ledger.tenants(tenant))
        now_ms = int(time.time() * 1000)
        accounts = PostgresAccounts(ledger.pool)
        ladder = await read_ladder(process, [tenant_id for tenant_id, _ in await ledger.tenants(None)])
        return await balance_log(audit, accounts, list(slugs), since_ms, now_ms), slugs, ladder


def tell_balances(balances: "list[ShardBalance]", slugs: dict[int, str], since_ms: int) -> None:
    from nearcast_cli.printing import print_table

    columns = ("tenant", ">shard", ">entries", ">pending", ">oldest", "last folded", ">folded in all")
    print_table(columns, [_standing(each, slugs[each.head.tenant_id]) for each in balances])
    click.echo(f"\nEvents in the entries since {shown(since_ms)}, and in all unfinished ones:")
    sums = ("accepted", "counted", "duplicate", "dead", "in_flight", "missing")
    headings = ("tenant", ">shard", *(f">{name.replace('_', ' ')}" for name in sums), ">vanished entries")
    rows = [
        (
            slugs[each.head.tenant_id],
            str(each.head.shard),
            *(str(getattr(each, name)) for name in sums),
            str(each.vanished),
        )
        for each in balances
    ]
    print_table(headings, rows)
    for each in balances:
        where = f"{slugs[each.head.tenant_id]}, shard {each.head.shard}"
        for example in each.examples:
            click.echo(f"missing: {where}, entry {example.entry_id}, event {example.event_index}")
        for found in each.raising_examples:
            place = f"entry {found.entry_id}, event {found.event_index}"
            click.echo(f"raises {found.error}: {where}, {place}")
        if each.set_back:
            click.echo(
                f"set back: {where}: Redis ends before what was folded; it has lost its newest entries"
            )
    raising = sum(each.raising for each in balances)
    if raising:
        click.echo(
            f"{raising} events in flight raise when they are judged. Keepers stop at several such entries"
            f" in a row; if no gateway wrote them:  {command_name()} keeper --bury-unforeseen"
        )
    lost = sum(each.missing for each in balances), sum(each.vanished for each in balances)
    if any(lost):
        click.echo(f"It does not balance: {lost[0]} events are missing, {lost[1]} entries vanished unread.")
    else:
        click.echo("It balances: accepted = counted + duplicate + dead + in flight.")


def _standing(balance: "ShardBalance", slug: str) -> tuple[str, ...]:
    head, position = balance.head, balance.position
    last, accepted = (position.last_entry_id, position.accepted) if position else ("", 0)
    oldest = f"{balance.oldest_s:.1f} s" if balance.in_flight else ""
    return (slug, str(head.shard), str(head.length), str(head.pending), oldest, last, str(accepted))


def _plain(balance: "ShardBalance", slug: str) -> dict[str, object]:
    head, position = balance.head, balance.position
    return {
        "tenant": slug,
        "shard": head.shard,
        "balanced": balance.balanced,
        "entries": head.length,
        "pendingEntries": head.pending,
        "oldestUnfinishedS": balance.oldest_s,
        "setBack": balance.set_back,
        "accepted": balance.accepted,
        "counted": balance.counted,
        "duplicate": balance.duplicate,
        "dead": balance.dead,
        "inFlight": balance.in_flight,
        "missing": balance.missing,
        "vanishedEntries": balance.vanished,
        "raising": balance.raising,
        "raisingExamples": [
            {"entry": each.entry_id, "event": each.event_index, "error": each.error}
            for each in balance.raising_examples
        ],
        "examples": [{"entry": each.entry_id, "event": each.event_index} for each in balance.examples],
        "foldedInAll": None
        if position is None
        else {
            "lastEntry": position.last_entry_id,
            "accepted": position.accepted,
            "counted": position.counted,
            "duplicate": position.duplicate,
            "dead": position.dead,
        },
    }

"""nearcast migrate: the database to the schema of this version."""

import asyncio

import click

from nearcast_cli.finding import Database, database_options, json_option


@click.command("migrate")
@click.option("--check", is_flag=True, help="Change nothing; exit status 1 if something is pending.")
@database_options
@json_option
def command(check: bool, database: Database, as_json: bool) -> int:
    """Bring the database to the schema of this version; safe to run again, and by several at once."""
    from nearcast_cli.printing import print_json
    from nearcast_store.migration import migrate, pending

    dsn = database.find()
    names = asyncio.run(pending(dsn) if check else migrate(dsn))
    if as_json:
        print_json({"pending" if check else "applied": names})
    elif not names:
        click.echo("Nothing to do: the schema is that of this version.")
    else:
        for name in names:
            click.echo(f"{'pending' if check else 'applied'} {name}")
    return 1 if check and names else 0

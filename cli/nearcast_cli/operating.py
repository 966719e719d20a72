"""What an operator's commands work on: tenants, keys and policies, in Postgres itself."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import click

from nearcast_cli.checkout import command_name
from nearcast_cli.failure import CommandFailedError
from nearcast_config.policy import Policy
from nearcast_store.migration import require_schema
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore

STATEMENT_S = 15.0


@dataclass(frozen=True, slots=True)
class Records:
    """Tenants with their keys, and their policies."""

    tenants: PostgresTenantStore
    policies: PostgresPolicyStore

    async def tenant_id(self, slug: str) -> int:
        """The tenant's number; CommandFailedError names those that exist."""
        known = {name: number for number, name in await self.tenants.tenants()}
        if slug in known:
            return known[slug]
        raise CommandFailedError(
            f"there is no tenant {slug}; known: {', '.join(sorted(known)) or 'none'}",
            reason="TENANT_UNKNOWN",
            field="tenant",
            advice=f"Make it, with its first key:  {command_name()} keys create --tenant {slug}",
        )


@asynccontextmanager
async def open_records(dsn: str, first: Policy | None = None) -> AsyncIterator[Records]:
    """The stores on a database whose schema fits; `first` becomes revision 1 of a tenant that has none."""
    pool = await open_pool(dsn, 2, STATEMENT_S, "nearcast cli")
    try:
        await check_schema(pool)
        yield records_on(pool, first)
    finally:
        await pool.close()


def records_on(pool: Pool, first: Policy | None = None) -> Records:
    """The stores on a pool that the caller closes."""
    return Records(PostgresTenantStore(pool, time.time), PostgresPolicyStore(pool, first=first))


async def check_schema(pool: Pool) -> None:
    """Raise SchemaError with the command to run."""
    async with pool.connection() as connection:
        await require_schema(connection)


def check_slug(slug: str) -> None:
    """Refuse what cannot name a tenant before anything is asked."""
    from nearcast_store.tenants.keys import check_slug as check

    try:
        check(slug)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--tenant'") from error

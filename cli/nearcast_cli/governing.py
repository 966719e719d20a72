"""Changes of policy from the command line: the gateway's own rules, on Postgres itself."""

import getpass
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nearcast_cli.checkout import command_name
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.operating import check_schema, records_on
from nearcast_config.policy import Policy
from nearcast_server.errors import RequestError
from nearcast_server.governing import Governor, Wish
from nearcast_store.counting.traffic import PostgresTraffic
from nearcast_store.markets.postgres import PostgresMarketStore
from nearcast_store.postgres import open_pool

T = TypeVar("T")
_TYPED = {"expected_revision": "--expect", "request_id": "--request-id", "note": "--note", "market": "MARKET"}
STATEMENT_S = 15.0
_ADVICE = {
    "POLICY_CHANGED": "See what is in force with:  {nearcast} policy diff FILE",
    "POLICY_REVISION_NOT_FOUND": "See the revisions with:  {nearcast} policy revisions",
    "MARKET_UNKNOWN": "See the markets with:  {nearcast} markets list",
    "EXPERIMENT_NOT_FOUND": "See the experiments with:  {nearcast} experiment list",
    "EXPERIMENT_RUNNING": "See what runs with:  {nearcast} experiment list",
}


async def govern(
    dsn: str, tenant: str, act: Callable[[Governor, int], Awaitable[T]], first: Policy | None = None
) -> T:
    """What `act` gives for a governor and the tenant's number; CommandFailedError when it is refused."""
    pool = await open_pool(dsn, 2, STATEMENT_S, "nearcast cli")
    try:
        await check_schema(pool)
        records = records_on(pool, first)
        tenant_id = await records.tenant_id(tenant)
        return await act(
            Governor(records.policies, PostgresMarketStore(pool), PostgresTraffic(pool)), tenant_id
        )
    except RequestError as error:
        raise failed_command(error) from error
    finally:
        await pool.close()


def wish_of(note: str, expected: int, request_id: str) -> Wish:
    """Of whoever is at the terminal."""
    return Wish(_author(), note, expected, request_id)


def when(seconds: float) -> str:
    """A time in UTC, for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def _author() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def failed_command(error: RequestError) -> CommandFailedError:
    """What a command tells of a refusal."""
    first = error.violations[0] if error.violations else None
    # Keys of a policy are not what was typed: each is told by its name.
    told = [f"{each.field}: {each.message}" for each in error.violations if each.field.startswith("policy.")]
    field = first.field if first else error.metadata.get("field", "")
    return CommandFailedError(
        "\n".join(told) or (first.message if first else error.message),
        reason=first.reason if first else error.reason,
        field=field,
        typed=_TYPED.get(field, ""),
        advice=_ADVICE.get(error.reason, "").format(nearcast=command_name()),
    )

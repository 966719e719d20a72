"""Policies tried beside the one in force, from the command line: the gateway's own rules, on Postgres."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from nearcast_cli.failure import CommandFailedError
from nearcast_cli.governing import STATEMENT_S, failed_command
from nearcast_cli.operating import check_schema, records_on
from nearcast_server.comparing import Comparer
from nearcast_server.errors import RequestError
from nearcast_server.experimenting import Experimenter
from nearcast_server.governing import Governor
from nearcast_store.experiments.postgres import PostgresExperimentStore
from nearcast_store.experiments.protocol import Experiment
from nearcast_store.markets.postgres import PostgresMarketStore
from nearcast_store.postgres import open_pool

T = TypeVar("T")
# A report reads the ledger of all days that an experiment ran.
REPORT_S = 120.0


@dataclass(frozen=True, slots=True)
class Bench:
    """Who begins and ends experiments of a tenant, and who tells how they stand."""

    tenant_id: int
    experimenter: Experimenter
    comparer: Comparer

    async def shadow(self, *, running: bool) -> Experiment:
        """The last shadow; CommandFailedError when there is none, or none that runs where one must."""
        for each in await self.experimenter.listed(self.tenant_id):
            if each.wanted.mode == "shadow" and (each.stopped_at is None or not running):
                return each
        raise CommandFailedError(
            "no shadow is running" if running else "no policy was ever tried as a shadow",
            reason="EXPERIMENT_NOT_FOUND",
            field="name",
        )


async def experiment(
    dsn: str, tenant: str, act: Callable[[Bench], Awaitable[T]], statement_s: float = STATEMENT_S
) -> T:
    """What `act` gives; CommandFailedError when it is refused."""
    pool = await open_pool(dsn, 2, statement_s, "nearcast cli")
    try:
        await check_schema(pool)
        records = records_on(pool)
        tenant_id = await records.tenant_id(tenant)
        kept = PostgresExperimentStore(pool)
        governor = Governor(records.policies, PostgresMarketStore(pool))
        experimenter = Experimenter(governor, records.policies, kept, time.time)
        return await act(Bench(tenant_id, experimenter, Comparer(governor, experimenter, kept, time.time)))
    except RequestError as error:
        raise failed_command(error) from error
    finally:
        await pool.close()

"""The scribe of this host, kept running beside whoever serves."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from nearcast_cli.processes import ChildEvent, ChildSpec, Supervisor
from nearcast_config.process import ProcessConfig
from nearcast_telemetry.logs import logger

LOOK_EVERY_S = 0.2
# It saves what it wrote, so that the next start has it at once.
GRACE_S = 5.0
log = logger("serve")


@asynccontextmanager
async def scribe_beside(
    process: ProcessConfig, environment: Mapping[str, str], begin: asyncio.Event | None = None
) -> AsyncIterator[None]:
    """A scribe with these settings, started again when it dies; none where candidates come from Redis.

    It is started when the event is set: what keeps all of us from starting shall be told once.
    """
    if process.gateway.candidates == "redis":
        yield
        return
    command = (sys.executable, "-m", "nearcast_cli", "scribe")
    supervisor = Supervisor([ChildSpec("scribe", command, None, env=environment)])
    watching = asyncio.create_task(_keep(supervisor, begin))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        supervisor.stop(GRACE_S)


async def _keep(supervisor: Supervisor, begin: asyncio.Event | None) -> None:
    if begin is not None:
        await begin.wait()
    supervisor.start()
    while True:
        for event in supervisor.check():
            _tell(event)
        await asyncio.sleep(LOOK_EVERY_S)


def _tell(event: ChildEvent) -> None:
    if event.exit_code is None:
        log.info("scribe.runs_again", pid=event.pid)
    else:
        log.warning("scribe.ended", pid=event.pid, exit_code=event.exit_code, again_in_s=event.retry_in_s)

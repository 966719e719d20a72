"""The process that keeps the workers of one port."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from nearcast_cli.finding import require_dsn, require_redis
from nearcast_cli.processes import ChildSpec
from nearcast_cli.scribes import scribe_beside
from nearcast_cli.workers.door import Door
from nearcast_cli.workers.foreman import Foreman, Rules
from nearcast_cli.workers.worker import MakeSpec
from nearcast_config.environment import variable_of
from nearcast_config.process import ProcessConfig
from nearcast_telemetry.endpoint import Endpoint
from nearcast_telemetry.logs import configure, logger
from nearcast_telemetry.signals import stop_on_signals

log = logger("workers")


def run_workers(process: ProcessConfig, config_path: Path | None, overrides: Mapping[str, object]) -> None:
    """Serve with `gateway.workers` processes until SIGTERM or SIGINT; SIGHUP replaces them one by one."""
    require_dsn(process, None)
    require_redis(process)
    configure(process.logging.level, process.logging.format)
    gateway = process.gateway
    door = Door.hold(gateway.host, gateway.grpc_port)
    try:
        own = {**overrides, "gateway.host": gateway.host, "gateway.grpc_port": door.port}
        asyncio.run(_keep(process, door.port, environment_of(config_path, own)))
    finally:
        door.close()


async def _keep(process: ProcessConfig, port: int, environment: Mapping[str, str]) -> None:
    gateway = process.gateway
    rules = Rules(
        gateway.workers, gateway.shutdown_grace_s, gateway.recycle_after_calls, gateway.recycle_rss_mib
    )
    foreman = Foreman(rules, _spec(environment), random.uniform)
    endpoint = Endpoint(
        foreman.page, foreman.missing, setting="gateway.metrics_port", look=foreman.look, alarm=foreman.alarm
    )
    with stop_on_signals() as stop:
        metrics_port = await endpoint.start(gateway.host, gateway.metrics_port)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, foreman.renew)
        try:
            async with scribe_beside(process, environment, foreman.begun):
                await foreman.run(
                    stop,
                    lambda: log.info(
                        "workers.ready", grpc_port=port, metrics_port=metrics_port, workers=gateway.workers
                    ),
                )
        finally:
            await endpoint.close()
    log.info("workers.stopped")


def _spec(environment: Mapping[str, str]) -> MakeSpec:
    """A fresh interpreter each: what gRPC holds does not survive a fork."""

    def make(number: int, descriptor: int) -> ChildSpec:
        command = (sys.executable, "-m", "nearcast_cli", "serve", "--worker", str(number), str(descriptor))
        return ChildSpec(f"worker {number}", command, None, env=environment)

    return make


def environment_of(config_path: Path | None, own: Mapping[str, object]) -> dict[str, str]:
    """Ours with the options of the command; in the environment, as arguments are for every user to read."""
    given = {variable_of(key): _text(value) for key, value in own.items() if value is not None}
    named = {"NEARCAST_CONFIG": str(config_path.absolute())} if config_path else {}
    return {**os.environ, **given, **named}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

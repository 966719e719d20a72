"""Postgres and Redis below a process that starts them again when they die; ends with its input."""

import json
import select
import signal
import sys
from pathlib import Path

from nearcast_cli.embedded import EmbeddedServers

POSTGRES_SETTINGS = {"deadlock_timeout": "100ms"}
LOOK_EVERY_S = 0.02


def tell(event: str, **fields: str) -> None:
    sys.stdout.write(f"{json.dumps({'event': event, **fields})}\n")
    sys.stdout.flush()


def main() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    servers = EmbeddedServers(Path(sys.argv[1]), postgres_settings=POSTGRES_SETTINGS)
    with servers as endpoints:
        tell("servers.ready", dsn=endpoints.postgres_dsn, redis_url=endpoints.redis_url)
        while not select.select([sys.stdin], [], [], LOOK_EVERY_S)[0]:
            for title in servers.revive():
                tell("servers.revived", title=title)


if __name__ == "__main__":
    main()

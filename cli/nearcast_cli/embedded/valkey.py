"""Valkey (or Redis) as a child: a file synced every second, nothing evicted, bounded, a private socket."""

import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path

from nearcast_cli.checkout import command_name
from nearcast_cli.embedded.binaries import find_redis
from nearcast_cli.embedded.ownership import check_owner
from nearcast_cli.embedded.server import ServerPlan, plain_environment
from nearcast_cli.embedded.sockets import socket_directory
from nearcast_cli.embedded.state import StateDirectory
from nearcast_cli.processes import ChildSpec

# No TCP port: an open one without a password would serve every user of the machine.
SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "save": "",
    "daemonize": "no",
    "always-show-logo": "no",
}


def redis_url(socket_path: Path) -> str:
    return f"unix://{socket_path}"


def plan_valkey(state: StateDirectory, settings: Mapping[str, str]) -> ServerPlan:
    """Find the program and say how to run it on the state directory."""
    program = find_redis()
    state.redis.mkdir(exist_ok=True, mode=0o700)
    check_owner(state.redis, "Redis")
    socket_path = socket_directory(state.path, "redis", None) / "redis.sock"
    chosen = {
        **SETTINGS,
        "maxmemory": str(_memory_bytes()),
        **settings,
        "dir": str(state.redis),
        "unixsocket": str(socket_path),
    }
    flags = [part for name, value in chosen.items() for part in (f"--{name}", value)]
    return ServerPlan(
        title="Redis",
        child=ChildSpec(
            name="redis",
            argv=(str(program), *flags),
            log_path=state.logs / "redis.log",
            env=plain_environment(),
            cwd=Path("/"),
        ),
        directory=state.redis,
        guard=state.path / "redis.lock",
        socket_path=socket_path,
        stop_signal=signal.SIGTERM,
        answers=_answers,
        advice=f"If the data is damaged, move it away and start again:  mv '{state.redis}' "
        f"'{state.redis}.broken'. What is searched is then filled from Postgres by  "
        f"{command_name()} rebuild redis ; events that were acknowledged in the last seconds and not yet "
        "counted stay in the moved files.",
    )


def _memory_bytes() -> int:
    """Half of the machine's: a full log refuses events, where a machine without memory ends servers."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _answers(connection: socket.socket) -> bool:
    """True when it serves; while it loads its file it answers with an error instead."""
    connection.sendall(b"PING\r\n")
    return connection.recv(5) == b"+PONG"

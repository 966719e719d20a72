"""Ports, looked at before anything is started."""

import socket

from nearcast_cli.failure import CommandFailedError
from nearcast_cli.house.plan import Ports
from nearcast_config.process import Gateway, Keeper, ProcessConfig

KEEPER_HOST = "127.0.0.1"


def choose_ports(process: ProcessConfig) -> Ports:
    """The gateway's port as told, CommandFailedError when it is taken; metrics move aside by themselves."""
    host = process.gateway.host
    grpc = process.gateway.grpc_port or free_port(host, set())
    if not is_free(host, grpc):
        raise CommandFailedError(
            f"port {grpc} on {host} is in use",
            reason="PORT_IN_USE",
            field="gateway.grpc_port",
            advice="Stop what listens there, or name another with --grpc-port N (0 = any free).",
        )
    gateway = _metrics_port(host, process.gateway.metrics_port, Gateway().metrics_port, "gateway", {grpc})
    taken = {grpc, gateway}
    keeper = _metrics_port(KEEPER_HOST, process.keeper.metrics_port, Keeper().metrics_port, "keeper", taken)
    return Ports(host, grpc, gateway, keeper)


def _metrics_port(host: str, wanted: int, default: int, room: str, taken: set[int]) -> int:
    if wanted and wanted not in taken and is_free(host, wanted):
        return wanted
    if wanted in (0, default):
        return free_port(host, taken)
    raise CommandFailedError(
        f"port {wanted} on {host} is in use",
        reason="PORT_IN_USE",
        field=f"{room}.metrics_port",
        advice=f"Stop what listens there, or set {room}.metrics_port to another (0 = any free).",
    )


def is_free(host: str, port: int) -> bool:
    """Whether we may listen there now; what is not ours to listen on counts as taken."""
    try:
        with _bound(host, port):
            return True
    except OSError:
        return False


def free_port(host: str, taken: set[int]) -> int:
    """Any port that is free now."""
    while True:
        with _bound(host, 0) as listener:
            port: int = listener.getsockname()[1]
        if port not in taken:
            return port


def _bound(host: str, port: int) -> socket.socket:
    name = host.strip("[]")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # As the server does it: connections that linger from before do not count.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((name, port))
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener

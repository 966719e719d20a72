"""The port that workers share, held for them so that nobody else can come in between."""

import errno
import socket
from typing import Self

from nearcast_cli.failure import CommandFailedError


class Door:
    """A port that is bound and not listened on: free for who shares it with us, taken for everybody else."""

    def __init__(self, holder: socket.socket) -> None:
        self._holder = holder

    @classmethod
    def hold(cls, host: str, port: int) -> Self:
        """Take the port, any free one for 0; CommandFailedError when somebody has it, shared or not."""
        if not hasattr(socket, "SO_REUSEPORT"):
            raise CommandFailedError(
                "this system does not let processes share a port",
                reason="WORKERS_UNSUPPORTED",
                field="gateway.workers",
                advice="Run one worker, or several gateways on ports of their own.",
            )
        try:
            with _listening(host, port) as alone:
                # From here to the end of this block both hold it, so nobody can take it in between.
                alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                return cls(_sharing(host, alone.getsockname()[1]))
        except OSError as error:
            raise _taken(host, port, error) from error

    @property
    def port(self) -> int:
        """Its number."""
        number: int = self._holder.getsockname()[1]
        return number

    def close(self) -> None:
        """Let go of it."""
        self._holder.close()


def _listening(host: str, port: int) -> socket.socket:
    """Fails beside any other socket on the port, but not beside connections that linger from before."""
    alone = _socket(host)
    try:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        alone.bind((_name(host), port))
        alone.listen(1)
    except BaseException:
        alone.close()
        raise
    return alone


def _sharing(host: str, port: int) -> socket.socket:
    holder = _socket(host)
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((_name(host), port))
        # Left on, it would let in everybody who sets it too, as long as no worker listens.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except BaseException:
        holder.close()
        raise
    return holder


def _socket(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM)


def _name(host: str) -> str:
    return host.strip("[]")


def _taken(host: str, port: int, error: OSError) -> CommandFailedError:
    if error.errno == errno.EADDRINUSE:
        return CommandFailedError(
            f"port {port} on {host} is in use",
            reason="PORT_IN_USE",
            field="gateway.grpc_port",
            advice="Stop what listens there, or name another with --grpc-port N (0 = any free).",
        )
    return CommandFailedError(
        f"cannot listen on {host} port {port} ({error.strerror})",
        reason="PORT_UNUSABLE",
        field="gateway.grpc_port",
        advice="Set gateway.host to an address of this machine and gateway.grpc_port to a port you may use.",
    )

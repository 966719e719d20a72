"""Where calls come in: the port, what gRPC is told, and what every call is wrapped in."""

from collections.abc import Callable

import grpc
from grpc_health.v1 import health
from grpc_health.v1.health import aio
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection

from nearcast_config.process import Gateway
from nearcast_server.callers import KeyCallers
from nearcast_server.rpc.endpoint import Deadlines, Endpoint, InFlight, Method
from nearcast_server.rpc.openstream import LAST_WORD_S, Draining, Limits
from nearcast_server.rpc.service import Services, generic_handlers, methods
from nearcast_server.rpc.streaming import StreamEndpoint, StreamMethod
from nearcast_telemetry.metrics import Metrics

MOST_CALLS_PER_CONNECTION = 1000


class PortInUseError(Exception):
    """A port that the gateway shall listen on is taken."""


def wrapper(
    gateway: Gateway, callers: KeyCallers, in_flight: InFlight, draining: Draining, metrics: Metrics
) -> Callable[[Method | StreamMethod], Endpoint | StreamEndpoint]:
    """What goes around every method: who calls, how long it may take, and what is counted of it."""
    deadlines = Deadlines(gateway.default_deadline_s, gateway.max_deadline_s)
    limits = {
        name: Limits(gateway.stream_idle_s, gateway.stream_max_age_s, per_key, gateway.max_message_bytes)
        for name, per_key in (
            ("StreamEvents", gateway.streams_per_key),
            ("WatchStats", gateway.watchers_per_key),
        )
    }

    def wrap(method: Method | StreamMethod) -> Endpoint | StreamEndpoint:
        if isinstance(method, StreamMethod):
            return StreamEndpoint(method, callers, limits[method.name], draining, in_flight, metrics)
        return Endpoint(method, callers, deadlines, in_flight, metrics, gateway.max_message_bytes)

    return wrap


def server_options(gateway: Gateway, *, shared: bool) -> list[tuple[str, int]]:
    """What gRPC is told; `shared`: others listen on the same port."""
    return [
        ("grpc.so_reuseport", int(shared)),
        # Above our own limit, so that a message a little too large is told so with a reason.
        ("grpc.max_receive_message_length", 2 * gateway.max_message_bytes),
        # Without it calls that are reset as soon as they are sent crowd out those of other connections.
        ("grpc.max_concurrent_streams", MOST_CALLS_PER_CONNECTION),
        # Without it whoever connects and says nothing keeps the socket for two minutes.
        ("grpc.server_handshake_timeout_ms", int(gateway.handshake_timeout_s * 1000)),
        ("grpc.max_send_message_length", -1),
        # Without these a client that does not read keeps its stream, and its place, for ever: what waits
        # to be written is beyond our reach. Who began just before the age still has a stream's full time.
        ("grpc.max_connection_age_ms", int(gateway.stream_max_age_s * 1000)),
        ("grpc.max_connection_age_grace_ms", int((gateway.stream_max_age_s + LAST_WORD_S) * 1000)),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", int(gateway.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(gateway.keepalive_timeout_s * 1000)),
        # Without this one an unanswered ping is waited for a minute, whatever the one above says.
        ("grpc.http2.ping_timeout_ms", int(gateway.keepalive_timeout_s * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
    ]


async def listen(
    gateway: Gateway,
    services: Services,
    wrap: Callable[[Method | StreamMethod], Endpoint | StreamEndpoint],
    servicer: aio.HealthServicer,
    *,
    shared: bool,
) -> tuple[grpc.aio.Server, int]:
    """A server that has its port, and the port; it does not answer yet. Raises PortInUseError."""
    server = grpc.aio.server(
        maximum_concurrent_rpcs=gateway.max_concurrent_calls,
        options=server_options(gateway, shared=shared),
    )
    listed = methods(services)
    server.add_generic_rpc_handlers(tuple(generic_handlers(listed, wrap)))
    add_HealthServicer_to_server(servicer, server)
    if gateway.reflection:
        names = (*listed, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    try:
        port = server.add_insecure_port(f"{gateway.host}:{gateway.grpc_port}")
    except RuntimeError as error:
        raise PortInUseError(
            f"port {gateway.grpc_port} on {gateway.host} is in use or not allowed;"
            " stop what listens there or set gateway.grpc_port to another"
        ) from error
    return server, port

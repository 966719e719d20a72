"""The real Postgres and Valkey that nearcast brings along, run as children for as long as it runs."""

from nearcast_cli.embedded.errors import EmbeddedError
from nearcast_cli.embedded.instance import Instance, running_instance, write_instance
from nearcast_cli.embedded.servers import EmbeddedServers, Endpoints
from nearcast_cli.embedded.state import StateDirectory

__all__ = [
    "EmbeddedError",
    "EmbeddedServers",
    "Endpoints",
    "Instance",
    "StateDirectory",
    "running_instance",
    "write_instance",
]

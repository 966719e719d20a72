"""Where a tenant's replica is kept on this host, as gateways and scribe work it out from their settings."""

from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path

from nearcast_config.process import ProcessConfig
from nearcast_replica.files import Files, cache_directory, memory_directory


def files_of(process: ProcessConfig) -> Callable[[int], Files]:
    """The files of each tenant; installations on one host are told apart by the stores they use."""
    stores = f"{process.redis.geo_url}\n{process.postgres.dsn}".encode()
    instance = blake2b(stores, digest_size=6).hexdigest()
    cold = Path(process.replica.directory).expanduser() if process.replica.directory else cache_directory()
    hot = memory_directory(cold)
    return lambda tenant_id: Files(hot, cold, instance, tenant_id)

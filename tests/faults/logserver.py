"""A Redis for the log alone, whose file and disk a test may spoil without hurting the house."""

from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

from nearcast_cli.embedded.binaries import find_redis
from tests.faults.child import Child
from tests.gateways import eventually

STARTS_WITHIN_S = 10.0
SETTINGS = {
    "port": "0",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "save": "",
    "repl-diskless-sync-delay": "0",
}


class LogServer:
    """Lives in a directory of its own, over any number of processes."""

    def __init__(self, directory: Path, log_path: Path, **settings: str) -> None:
        self._directory = directory
        self._log_path = log_path
        self._settings = settings
        self._child: Child | None = None
        self.socket = directory / "log.sock"
        self.url = f"unix://{self.socket}"
        self.redis = Redis.from_url(self.url, protocol=2)

    @property
    def child(self) -> Child:
        assert self._child, "the log was never started"
        return self._child

    @property
    def file(self) -> Path:
        """What it appends to now."""
        return max(self._directory.glob("appendonlydir/*.incr.aof"))

    async def begin(self) -> Child:
        """Start a process, which may end before it is ready."""
        chosen = {**SETTINGS, **self._settings, "dir": str(self._directory), "unixsocket": str(self.socket)}
        flags = [part for name, value in chosen.items() for part in (f"--{name}", value)]
        self._child = await Child.start("log", (str(find_redis()), *flags), {}, self._log_path)
        return self._child

    async def start(self) -> None:
        """Start a process and wait until it serves."""
        await self.begin()
        await eventually(self._serves, STARTS_WITHIN_S)

    async def kill(self) -> None:
        await self.child.kill()

    async def close(self) -> None:
        await self.redis.aclose()
        if self._child is not None:
            await self._child.kill()

    async def _serves(self) -> bool:
        try:
            return bool(await self.redis.ping())
        except (RedisError, OSError):
            return False

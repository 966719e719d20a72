"""Where Redis is and how one logs in, as a URL says it."""

from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """Where Redis is: a unix socket when `path` is set, otherwise host and port."""

    host: str = "localhost"
    port: int = 6379
    path: str = ""
    db: int = 0
    username: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"unix://{self.path}" if self.path else f"redis://{self.host}:{self.port}/{self.db}"

    def greeting(self) -> list[tuple[str | int, ...]]:
        """What a new connection says before anything else."""
        said: list[tuple[str | int, ...]] = []
        if self.password:
            said.append(("AUTH", *filter(None, (self.username, self.password))))
        if self.db:
            said.append(("SELECT", self.db))
        return said


def parse_address(url: str) -> RedisAddress:
    """Read redis://[user:password@]host[:port][/db] or unix://[user:password@]/path[?db=n]; ValueError."""
    parts = urlsplit(url)
    username, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "unix" and parts.path:
        asked = parse_qs(parts.query).get("db", ["0"])[0]
        db = _number(asked)
        return RedisAddress(path=unquote(parts.path), db=db, username=username, password=password)
    if parts.scheme == "redis" and parts.hostname:
        db = _number(parts.path.strip("/") or "0")
        return RedisAddress(parts.hostname, _port(parts), db=db, username=username, password=password)
    raise ValueError("a Redis URL must be redis://host:port/db or unix:///path/to/socket?db=0")


def _number(text: str) -> int:
    if not text.isdecimal():
        raise ValueError("the database of a Redis URL must be a number, as in redis://host:6379/0")
    return int(text)


def _port(parts: SplitResult) -> int:
    try:
        return parts.port or 6379
    except ValueError:
        raise ValueError("the port of a Redis URL must be a number from 0 to 65535") from None

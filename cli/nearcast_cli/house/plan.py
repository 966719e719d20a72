"""What one `up` shall run."""

from dataclasses import dataclass
from pathlib import Path

from nearcast_config.policy import Policy
from nearcast_config.process import ProcessConfig
from nearcast_geo.point import Point
from nearcast_town.simulate import LivePace


@dataclass(frozen=True, slots=True)
class Plan:
    """`town_at` is None without a town; `policy` is the file's, None when it has none."""

    state: Path
    config_path: Path | None
    process: ProcessConfig
    policy: Policy | None
    town_at: Point | None
    pace: LivePace

    @property
    def runs_stores(self) -> bool:
        """Whether both servers are started with it."""
        redis = self.process.redis
        return not (self.process.postgres.dsn or redis.geo_url or redis.log_url)


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the doors are."""

    host: str
    grpc: int
    gateway_metrics: int
    keeper_metrics: int

    @property
    def address(self) -> str:
        """The gateway as a client on this machine reaches it."""
        return f"{_reachable(self.host)}:{self.grpc}"

    @property
    def metrics(self) -> tuple[str, str]:
        """The pages of gateway and keeper."""
        return (
            f"http://{_reachable(self.host)}:{self.gateway_metrics}/metrics",
            f"http://127.0.0.1:{self.keeper_metrics}/metrics",
        )


def _reachable(host: str) -> str:
    """An address that stands for all of them is listened on, not spoken to."""
    named = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{named}]" if ":" in named and not named.startswith("[") else named

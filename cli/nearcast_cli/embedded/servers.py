"""Both embedded servers as one thing: start, look, revive, stop."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shutil import rmtree
from types import TracebackType

from nearcast_cli.embedded.instance import Instance, write_instance
from nearcast_cli.embedded.postgres import plan_postgres, postgres_dsn
from nearcast_cli.embedded.server import RunningServer
from nearcast_cli.embedded.state import StateDirectory
from nearcast_cli.embedded.valkey import plan_valkey, redis_url
from nearcast_cli.moment import stamp

STOP_WITHIN_S = 30.0


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where the two servers answer."""

    postgres_dsn: str
    redis_url: str


class EmbeddedServers:
    """Postgres and Valkey on one state directory, held alone until `stop`.

    A DSN or URL that is given stands for a server of the user's own, which is then not started. Use it from
    the main thread. The servers end when this process ends, however it ends.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        postgres_dsn: str | None = None,
        redis_url: str | None = None,
        postgres_settings: Mapping[str, str] | None = None,
        redis_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.state = StateDirectory(state_dir)
        self._postgres_dsn = postgres_dsn
        self._redis_url = redis_url
        self._postgres_settings = postgres_settings or {}
        self._redis_settings = redis_settings or {}
        self._running: list[RunningServer] = []

    def start(self) -> Endpoints:
        """Take the state directory, start what is not given, and return once both answer."""
        with ExitStack() as undo:
            undo.callback(self.stop)
            self.state.take()
            dsn, url = self._postgres_dsn, self._redis_url
            if url is None:
                url = redis_url(self._begin_redis().plan.socket_path)
            if dsn is None:
                dsn = postgres_dsn(self._begin_postgres().plan.socket_path.parent)
            for server in self._running:
                server.wait_ready()
            self._record(Endpoints(dsn, url))
            undo.pop_all()
        return Endpoints(dsn, url)

    @property
    def runs_stores(self) -> bool:
        """Whether both servers are started here."""
        return self._postgres_dsn is None and self._redis_url is None

    def is_alive(self) -> bool:
        """Whether every server that was started here still runs and can be reached."""
        return not self.dead()

    def dead(self) -> tuple[str, ...]:
        """The titles of the servers that ended or lost their socket."""
        return tuple(server.plan.title for server in self._running if not server.is_alive())

    def revive(self) -> tuple[str, ...]:
        """Start the dead servers again on their data and return their titles once they answer."""
        revived = []
        for place, server in enumerate(self._running):
            if not server.is_alive():
                server.stop(STOP_WITHIN_S)
                again = self._again(server)
                self._running[place] = again
                again.wait_ready()
                revived.append(again.plan.title)
        return tuple(revived)

    def running(self, title: str) -> RunningServer:
        """The server of this title that was started here; KeyError if it was not."""
        return {server.plan.title: server for server in self._running}[title]

    def stop(self) -> None:
        """Stop the servers, the last started first, and give the state directory back."""
        while self._running:
            server = self._running.pop()
            server.stop(STOP_WITHIN_S)
            rmtree(server.plan.socket_path.parent, ignore_errors=True)
        self.state.release()

    def __enter__(self) -> Endpoints:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _begin_redis(self) -> RunningServer:
        return self._keep(RunningServer(plan_valkey(self.state, self._redis_settings)))

    def _begin_postgres(self) -> RunningServer:
        return self._keep(RunningServer(plan_postgres(self.state, self._postgres_settings)))

    def _again(self, server: RunningServer) -> RunningServer:
        if server.plan.title == "Redis":
            return RunningServer(plan_valkey(self.state, self._redis_settings))
        return RunningServer(plan_postgres(self.state, self._postgres_settings))

    def _keep(self, server: RunningServer) -> RunningServer:
        self._running.append(server)
        return server

    def _record(self, endpoints: Endpoints) -> None:
        write_instance(
            self.state,
            Instance(
                pid=os.getpid(),
                started_at=stamp(datetime.now(UTC)),
                postgres_dsn=endpoints.postgres_dsn,
                redis_url=endpoints.redis_url,
                runs_stores=self.runs_stores,
            ),
        )

"""The state directory: where everything of one running nearcast is kept, and who holds it."""

import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import IO

from nearcast_cli.embedded.errors import StateInUseError, StateNotWritableError
from nearcast_cli.embedded.ownership import check_owner


class StateDirectory:
    """Paths below one directory, and the lock that lets a single nearcast use it.

    The lock vanishes with the process that took it, however that ended.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: IO[str] | None = None

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def redis(self) -> Path:
        return self.path / "redis"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def instance(self) -> Path:
        return self.path / "instance.json"

    def take(self, patience_s: float = 0.5) -> None:
        """Make the directory and hold it, or raise StateInUseError naming who does."""
        try:
            self._make()
            self._check_owner()
            lock = (self.path / "lock").open("a", encoding="utf-8")
        except OSError as error:
            raise StateNotWritableError(state=self.path, reason=error.strerror) from error
        if not take_lock(lock, patience_s):
            lock.close()
            raise StateInUseError(state=self.path, owner=self._owner())
        self._lock = lock

    def release(self) -> None:
        if self._lock is not None:
            self.instance.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def is_taken(self) -> bool:
        """Whether a nearcast runs on this directory now."""
        try:
            with (self.path / "lock").open(encoding="utf-8") as lock:
                return not take_lock(lock, 0, fcntl.LOCK_SH)
        except OSError:
            return False

    def _make(self) -> None:
        if not self.path.exists():
            self.path.mkdir(parents=True)
            # Root's Postgres runs as another user, who must pass through; what is inside protects itself.
            self.path.chmod(0o711 if os.geteuid() == 0 else 0o700)
        self.logs.mkdir(exist_ok=True, mode=0o700)
        self.redis.mkdir(exist_ok=True, mode=0o700)

    def _check_owner(self) -> None:
        """Leave another user's state alone: files of ours in it would lock them out."""
        with suppress(FileNotFoundError):
            check_owner(self.path / "lock", "nearcast")

    def _owner(self) -> str:
        """The holder in words, as far as its record tells."""
        facts: dict[str, object] = {}
        with suppress(OSError, ValueError):
            facts = json.loads(self.instance.read_text(encoding="utf-8"))
        process = f"process {facts['pid']}" if facts.get("pid") else "another nearcast that is just starting"
        return f"{process} serving {facts['address']}" if facts.get("address") else process


def take_lock(file: IO[str], patience_s: float, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock the file, trying again until the patience is over; False if someone else keeps it."""
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                return False
            Event().wait(0.02)
        else:
            return True

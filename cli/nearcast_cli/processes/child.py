"""One child process: what it is, how it is started and how it is stopped."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

LAUNCHER = Path(__file__).with_name("launcher.py")
LONGEST_LOG_BYTES = 10_000_000


@dataclass(frozen=True, slots=True)
class Account:
    """A user and group of the system by number."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """What to run. `env` replaces the environment; `restart` asks a supervisor to start it again.

    Without a `log_path` it writes to where we write.
    """

    name: str
    argv: tuple[str, ...]
    log_path: Path | None
    env: Mapping[str, str] | None = None
    restart: bool = True
    cwd: Path | None = None
    account: Account | None = None
    death_signal: signal.Signals = signal.SIGTERM

    @property
    def log(self) -> Path:
        """Of a child that has one."""
        assert self.log_path is not None, self.name
        return self.log_path


def _launch_arguments(spec: ChildSpec, watch_pipe: bool) -> list[str]:
    account = [f"--account={spec.account.uid}:{spec.account.gid}"] if spec.account else []
    pipe = ["--pipe"] if watch_pipe else []
    fate = [f"--parent={os.getpid()}", f"--signal={int(spec.death_signal)}"]
    return [sys.executable, "-I", "-S", str(LAUNCHER), *fate, *account, *pipe, "--", *spec.argv]


@contextmanager
def _opened(log_path: Path | None) -> Iterator[BinaryIO | None]:
    if log_path is None:
        yield None
        return
    log_path.parent.mkdir(parents=True, exist_ok=True)
    _turn_over(log_path)
    with log_path.open("ab") as log:
        yield log


def _turn_over(log_path: Path) -> None:
    """Keep one older log, so that a state directory used for years stays small."""
    with suppress(FileNotFoundError):
        if log_path.stat().st_size > LONGEST_LOG_BYTES:
            log_path.replace(log_path.with_name(log_path.name + ".1"))


def spawn(
    spec: ChildSpec, *, keep_open: tuple[int, ...] = (), watch_pipe: bool = sys.platform != "linux"
) -> subprocess.Popen[bytes]:
    """Start the child in its own session, its output appended to its log, if it has one.

    It gets `death_signal` when we die.

    Call it from the main thread: the kernel counts the end of the starting thread as the parent's death.
    The file descriptors in `keep_open` stay open in the child.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(f"{spec.name} must be started from the main thread, whose end would end it")
    with _opened(spec.log_path) as log:
        return subprocess.Popen(
            _launch_arguments(spec, watch_pipe),
            stdin=subprocess.PIPE if watch_pipe else subprocess.DEVNULL,
            stdout=log,
            stderr=log and subprocess.STDOUT,
            env=spec.env,
            cwd=spec.cwd,
            pass_fds=keep_open,
            start_new_session=True,  # Ctrl-C reaches us alone, and we stop the children in order
        )


def stop(process: subprocess.Popen[bytes], stop_signal: signal.Signals, grace_s: float) -> int:
    """Ask the child to end and wait; after `grace_s` kill its whole session. Return its exit code."""
    if process.poll() is None:
        process.send_signal(stop_signal)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    if process.stdin is not None:
        process.stdin.close()
    return code

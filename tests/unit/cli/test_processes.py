"""Children: they die with their parent, come back when they fail, and stop in order."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest

from nearcast_cli.processes import Backoff, ChildSpec, Supervisor, spawn, stop

FOREVER = "import signal; print('up', flush=True); signal.pause()"
STUBBORN = (
    "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: signal.pause()"
)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def child(tmp_path: Path, name: str, code: str, *, restart: bool = True) -> ChildSpec:
    return ChildSpec(name, (sys.executable, "-c", code), tmp_path / f"{name}.log", restart=restart)


def wait_for_line(path: Path) -> str:
    """The first line of a log, once it is whole; the test's time limit ends a wait in vain."""
    while not path.exists() or "\n" not in path.read_text():
        Event().wait(0.005)
    return path.read_text()


@pytest.mark.parametrize(
    ("failures", "delay_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (10_000, 30.0)]
)
def test_delay_doubles_up_to_a_limit(failures: int, delay_s: float) -> None:
    assert Backoff().delay_s(failures) == delay_s


def test_a_long_run_forgives_earlier_failures() -> None:
    backoff = Backoff(steady_after_s=60)
    assert backoff.failures_after(5, lifetime_s=59.9) == 6
    assert backoff.failures_after(5, lifetime_s=60) == 1


def test_output_goes_to_the_log(tmp_path: Path) -> None:
    process = spawn(child(tmp_path, "talker", "import sys; print('out'); print('err', file=sys.stderr)"))
    assert process.wait() == 0
    assert sorted((tmp_path / "talker.log").read_text().split()) == ["err", "out"]


def test_missing_program_is_named_in_the_log(tmp_path: Path) -> None:
    process = spawn(ChildSpec("lost", ("/no/such/program",), tmp_path / "lost.log"))
    assert process.wait() != 0
    assert "cannot run /no/such/program: No such file" in (tmp_path / "lost.log").read_text()


def test_a_large_log_is_turned_over(tmp_path: Path) -> None:
    (tmp_path / "talker.log").write_bytes(b"x" * 10_000_001)
    assert spawn(child(tmp_path, "talker", "print('new')")).wait() == 0
    assert (tmp_path / "talker.log").read_text() == "new\n"
    assert (tmp_path / "talker.log.1").stat().st_size == 10_000_001


@pytest.mark.parametrize("watch_pipe", [False, True] if sys.platform == "linux" else [True])
def test_child_dies_when_its_parent_is_killed(tmp_path: Path, watch_pipe: bool) -> None:
    """With the kernel's signal and, as on macOS, with a pipe that breaks."""
    log = tmp_path / "child.log"
    code = (
        "import os, sys; from pathlib import Path; from nearcast_cli.processes import ChildSpec, spawn\n"
        f"spawn(ChildSpec('child', (sys.executable, '-c', {CLAIM!r}, {str(tmp_path / 'claim')!r}), "
        f"Path({str(log)!r})), watch_pipe={watch_pipe})\n"
        "sys.stdin.read()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    assert wait_for_line(log) == "up\n"
    parent.kill()
    parent.communicate()
    waiter = subprocess.run(["flock", "--timeout", "20", str(tmp_path / "claim"), "true"], check=False)
    assert waiter.returncode == 0, "the child outlived its parent"


CLAIM = (
    "import fcntl, signal, sys; claim = open(sys.argv[1], 'w'); fcntl.flock(claim, fcntl.LOCK_EX); "
    "print('up', flush=True); signal.pause()"
)


def test_children_are_started_from_the_main_thread_only(tmp_path: Path) -> None:
    errors: list[BaseException] = []

    def attempt() -> None:
        try:
            spawn(child(tmp_path, "child", FOREVER))
        except RuntimeError as error:
            errors.append(error)

    thread = Thread(target=attempt)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def test_a_stubborn_child_is_killed_after_the_grace(tmp_path: Path) -> None:
    process = spawn(child(tmp_path, "stubborn", STUBBORN))
    wait_for_line(tmp_path / "stubborn.log")
    assert stop(process, signal.SIGTERM, grace_s=0.05) == -signal.SIGKILL


def test_supervisor_restarts_a_dead_child_after_the_delay(tmp_path: Path) -> None:
    clock = Clock()
    supervisor = Supervisor(
        [child(tmp_path, "gateway", FOREVER)], backoff=Backoff(first_delay_s=5), clock=clock
    )
    supervisor.start()
    first = supervisor.running()["gateway"]
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)

    (ended,) = supervisor.check()
    assert (ended.name, ended.pid, ended.exit_code, ended.retry_in_s) == (
        "gateway",
        first,
        -signal.SIGKILL,
        5,
    )
    clock.now_s = 4.9
    assert supervisor.check() == []
    clock.now_s = 5.0
    (began,) = supervisor.check()
    assert began.exit_code is None
    assert supervisor.running() == {"gateway": began.pid}
    supervisor.stop()
    assert supervisor.running() == {}


def test_supervisor_leaves_a_child_that_may_end(tmp_path: Path) -> None:
    supervisor = Supervisor([child(tmp_path, "once", "raise SystemExit(3)", restart=False)])
    supervisor.start()
    os.waitid(os.P_PID, supervisor.running().get("once", 0), os.WEXITED | os.WNOWAIT)
    (ended,) = supervisor.check()
    assert (ended.exit_code, ended.retry_in_s) == (3, None)
    assert supervisor.check() == []
    supervisor.stop()


def test_supervisor_stops_the_last_started_first(tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = (
        "import signal, sys\n"
        f"signal.signal(15, lambda *_: (open({str(order)!r}, 'a').write(sys.argv[1] + ' '), sys.exit()))\n"
        "print('up', flush=True)\n"
        "while True: signal.pause()"
    )
    specs = [
        ChildSpec(name, (sys.executable, "-c", code, name), tmp_path / f"{name}.log")
        for name in ("keeper", "gateway", "town")
    ]
    supervisor = Supervisor(specs)
    supervisor.start()
    for spec in specs:
        wait_for_line(spec.log)
    supervisor.stop()
    assert order.read_text().split() == ["town", "gateway", "keeper"]

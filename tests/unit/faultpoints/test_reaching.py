"""What a process does at an armed point; it is armed for a whole life, so each has a process of its own."""

import os
import signal
import subprocess
import sys

PASS_BY = """
from nearcast_faultpoints.arming import Failpoint
from nearcast_faultpoints.reaching import FailpointError, reach

def passed(cut=None):
    try:
        reach(Failpoint.KEEPER_BEFORE_COMMIT, cut=cut)
    except FailpointError as error:
        return f"raised {error}"
    return "passed"
"""


def life(arming: str, then: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NEARCAST_FAILPOINTS": arming}
    return subprocess.run(
        [sys.executable, "-c", PASS_BY + then], env=environment, capture_output=True, text=True, check=False
    )


def test_an_unarmed_point_does_nothing() -> None:
    done = life("keeper.after_read=kill", "print(passed(cut=lambda: print('cut')))")
    assert (done.returncode, done.stdout) == (0, "passed\n")


def test_kill_leaves_no_time_to_clean_up() -> None:
    done = life("keeper.before_commit=kill", "try:\n passed()\nfinally:\n print('cleaned up')")
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "")


def test_raise_names_the_point() -> None:
    done = life("keeper.before_commit=raise", "print(passed())")
    assert done.stdout == "raised keeper.before_commit was armed to raise\n"


def test_cut_drops_what_is_held_there_and_raises_where_nothing_is() -> None:
    done = life("keeper.before_commit=cut", "print(passed(cut=lambda: print('cut')))\nprint(passed())")
    assert done.stdout.splitlines() == ["cut", "passed", "raised keeper.before_commit was armed to cut"]


def test_a_share_of_the_times_is_the_same_in_every_life() -> None:
    count = "print([passed() == 'passed' for _ in range(1000)])"
    one, other = (life("keeper.before_commit=raise:0.2", count).stdout for _ in range(2))
    assert one == other
    assert 750 < one.count("True") < 850


def test_a_wrong_arming_ends_the_process_before_it_does_anything() -> None:
    done = life("keeper.after_lunch=kill", "print(passed())")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no point 'keeper.after_lunch'" in done.stderr

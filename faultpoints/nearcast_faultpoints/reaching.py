"""Passing a failpoint: nothing happens unless the environment armed it before the process began."""

import os
import signal
from collections.abc import Callable
from random import Random

from nearcast_faultpoints.arming import VARIABLE, Failpoint, read_arming

# Read once: a process is armed for its whole life or not at all. Seeded by the text itself, so that the same
# arming does the same again.
_ARMED = read_arming(os.environ.get(VARIABLE, ""))
_RANDOM = Random(os.environ.get(VARIABLE, ""))


class FailpointError(ConnectionError):
    """Raised on purpose."""


def reach(point: Failpoint, cut: Callable[[], object] | None = None) -> None:
    """Pass by. `cut` drops what the process holds there; where there is nothing to drop, cutting raises."""
    if _ARMED:
        _reach_armed(point, cut)


def _reach_armed(point: Failpoint, cut: Callable[[], object] | None) -> None:
    arming = _ARMED.get(point)
    if arming is None or _RANDOM.random() >= arming.probability:
        return
    if arming.action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if arming.action == "cut" and cut is not None:
        cut()
        return
    raise FailpointError(f"{point} was armed to {arming.action}")

"""Read by Python before anything else: gives a process a wrong clock, or the name of another machine."""

import os
import socket
import time

_AHEAD_S = float(os.environ.get("NEARCAST_TEST_CLOCK_AHEAD_S", "0"))
_HOSTNAME = os.environ.get("NEARCAST_TEST_HOSTNAME", "")

if _AHEAD_S:
    _true_time, _true_time_ns = time.time, time.time_ns

    def _time() -> float:
        return _true_time() + _AHEAD_S

    def _time_ns() -> int:
        return _true_time_ns() + int(_AHEAD_S * 1e9)

    time.time, time.time_ns = _time, _time_ns

if _HOSTNAME:

    def _gethostname() -> str:
        return _HOSTNAME

    socket.gethostname = _gethostname

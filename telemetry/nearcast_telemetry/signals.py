"""Turns the system's wish that a process ends into an event."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager

STOPPING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_on_signals() -> Iterator[asyncio.Event]:
    """An event set by SIGTERM or SIGINT; a second signal ends the process at once. Needs the main thread."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    before = {number: signal.getsignal(number) for number in STOPPING}

    def heed() -> None:
        stop.set()
        for number in STOPPING:
            loop.remove_signal_handler(number)
            # Python's own answer to SIGINT would raise into the clean-up; the system's just ends.
            signal.signal(number, signal.SIG_DFL)

    for number in STOPPING:
        loop.add_signal_handler(number, heed)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)

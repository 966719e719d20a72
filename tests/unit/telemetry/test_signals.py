"""A signal becomes an event."""

import asyncio
import os
import signal

import pytest

from nearcast_telemetry.signals import stop_on_signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_sets_the_event_and_everything_is_put_back(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    with stop_on_signals() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stop.wait(), 20)
        # The second one ends the process at once.
        assert signal.getsignal(number) is signal.SIG_DFL
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before

"""Waiting without sleeping through a stop."""

import asyncio
from random import Random

from nearcast_statskeeper.pacing import Backoff, pause_until
from nearcast_statskeeper.tally import Tally


async def test_a_stop_ends_a_pause() -> None:
    stop = asyncio.Event()
    pausing = asyncio.ensure_future(pause_until(stop)(3600))
    stop.set()
    await asyncio.wait_for(pausing, 20)


def test_a_pause_ends_by_itself_and_leaves_nothing_waiting() -> None:
    """On a loop of its own: the tests' loop also runs gateways, whose tasks come and go."""

    async def pause() -> None:
        stop = asyncio.Event()
        await asyncio.wait_for(pause_until(stop)(0.001), 20)
        assert not stop.is_set()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(pause())


def test_delays_double_up_to_the_longest_and_scatter_below() -> None:
    backoff = Backoff(first_s=1.0, longest_s=8.0, random=Random(1))
    delays = [backoff.failed() for _ in range(6)]
    for delay, most in zip(delays, (1, 2, 4, 8, 8, 8), strict=True):
        assert most / 2 <= delay <= most
    assert len(set(delays)) == 6


def test_success_begins_anew_and_says_whether_there_was_a_failure() -> None:
    backoff = Backoff(first_s=1.0, longest_s=8.0, random=Random(1))
    assert not backoff.worked()
    backoff.failed()
    backoff.failed()
    assert backoff.worked()
    assert backoff.failed() <= 1.0


def test_a_thousand_failures_are_no_overflow() -> None:
    backoff = Backoff(random=Random(1))
    assert max(backoff.failed() for _ in range(2000)) <= backoff.longest_s


async def test_a_tally_wakes_who_waits_for_its_number_and_nobody_else() -> None:
    tally = Tally()
    second, third = asyncio.ensure_future(tally.reached(2)), asyncio.ensure_future(tally.reached(3))
    await tally.reached(0)
    tally.add(2)
    await asyncio.wait_for(second, 20)
    assert not third.done()
    tally.add()
    await asyncio.wait_for(third, 20)
    await asyncio.wait_for(tally.reached(3), 20)
    assert tally.count == 3

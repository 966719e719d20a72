"""Work that takes too long is ended, and nothing else is."""

import asyncio

import pytest

from nearcast_server.rpc.overtime import LOOK_EVERY_S, Overtime

LONG_S = 60.0


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def test_what_is_done_in_time_gives_what_it_gives() -> None:
    async def work() -> str:
        await asyncio.sleep(0)
        return "done"

    assert await Overtime().bound(work(), LONG_S) == "done"


async def test_each_is_ended_when_its_own_time_is_up() -> None:
    overtime, loop = Overtime(), asyncio.get_running_loop()
    long = asyncio.create_task(overtime.bound(forever(), LONG_S))
    began_s = loop.time()
    for most_s in (0.0, 0.1, 2 * LOOK_EVERY_S):
        with pytest.raises(TimeoutError):
            await overtime.bound(forever(), most_s)
        assert loop.time() - began_s >= most_s
    assert not long.done()
    long.cancel()
    with pytest.raises(asyncio.CancelledError):
        await long


async def test_a_fault_and_a_cancellation_from_within_come_through() -> None:
    async def fail(error: BaseException) -> None:
        raise error

    for error in (ValueError("no"), TimeoutError("its own"), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            await Overtime().bound(fail(error), LONG_S)


async def test_who_is_cancelled_from_outside_is_not_late() -> None:
    task = asyncio.create_task(Overtime().bound(forever(), LONG_S))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_a_task_goes_on_after_it_was_late() -> None:
    """What it does then, such as telling so, is not cut off, and may be bounded again."""

    async def tell() -> str:
        overtime = Overtime()
        try:
            await overtime.bound(forever(), 0.0)
        except TimeoutError:
            with pytest.raises(TimeoutError):
                await Overtime().bound(forever(), 2 * LOOK_EVERY_S)
            return await overtime.bound(told(), LONG_S)
        return "in time"

    async def told() -> str:
        return "late"

    assert await asyncio.create_task(tell()) == "late"


async def test_a_timeout_within_is_not_mistaken_for_it() -> None:
    async def work() -> str:
        try:
            async with asyncio.timeout(0.0):
                await forever()
        except TimeoutError:
            return "went on"
        return "ended"

    assert await Overtime().bound(work(), LONG_S) == "went on"

"""What requests put aside is done beside them, and nothing after a stop."""

import asyncio

from nearcast_server.sideline import Sideline


async def test_what_is_put_aside_is_done_in_its_order_while_others_put_more() -> None:
    aside, stop, done = Sideline[int](), asyncio.Event(), list[int]()

    async def act() -> None:
        one = aside.waiting.popleft()
        done.append(one)
        if one < 5:
            aside.put(one + 1)
        else:
            stop.set()

    running = asyncio.create_task(aside.run(stop, act))
    aside.put(1)
    await asyncio.wait_for(running, 10.0)
    assert done == [1, 2, 3, 4, 5]


async def test_a_stop_leaves_what_still_waits() -> None:
    aside, stop, done = Sideline[int](), asyncio.Event(), list[int]()
    for one in range(3):
        aside.put(one)

    async def act() -> None:
        done.append(aside.waiting.popleft())
        stop.set()

    await asyncio.wait_for(aside.run(stop, act), 10.0)
    assert done == [0]
    assert list(aside.waiting) == [1, 2]


async def test_a_stop_ends_a_rest_and_a_wait_for_something_to_do() -> None:
    async def act() -> None:
        aside.waiting.clear()
        stop.set()

    aside, stop = Sideline[int](), asyncio.Event()
    aside.put(1)
    await asyncio.wait_for(aside.run(stop, act, rest_s=600.0), 10.0)
    stop.clear()
    idle = asyncio.create_task(aside.run(stop, act))
    stop.set()
    await asyncio.wait_for(idle, 10.0)

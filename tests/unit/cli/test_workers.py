"""Who keeps workers, with small programs in their place: what a real gateway takes minutes to show."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nearcast_cli.failure import CommandFailedError
from nearcast_cli.processes import Backoff, ChildSpec
from nearcast_cli.workers.door import Door
from nearcast_cli.workers.foreman import Foreman, Rules, WorkersFailedError
from nearcast_cli.workers.worker import MakeSpec
from tests.gateways import eventually

HASTY = Backoff(first_delay_s=0.01, longest_delay_s=0.05)
# Says that it is open, in the words of a gateway; then does what its code says.
OPEN = """
import os, signal, socket, sys
line = socket.socket(fileno=int(sys.argv[2]))
CALLS = [["nearcast_server_call_seconds", "histogram", "", [["nearcast_server_call_seconds_count", [], 7]]]]
def say(missing="null", open="true"):
    import json
    line.sendall(('{"open":%s,"missing":%s,"metrics":%s}\\n' % (open, missing, json.dumps(CALLS))).encode())
say()
"""
SERVE = "\nwhile line.recv(1): say()"
WAIT_TWICE = "\nsignal.signal(15, signal.SIG_IGN)\nsay()\nwhile True: line.recv(1) and say()"


def programs(code: str, tried: list[int] | None = None) -> MakeSpec:
    def make(number: int, descriptor: int) -> ChildSpec:
        if tried is not None:
            tried.append(number)
        argv = (sys.executable, "-I", "-S", "-c", code, str(number), str(descriptor))
        return ChildSpec(f"worker {number}", argv, None)

    return make


def foreman_of(rules: Rules, make_spec: MakeSpec) -> Foreman:
    return Foreman(rules, make_spec, lambda low, high: high, backoff=HASTY)


async def once_open(foreman: Foreman, act: Callable[[], None]) -> None:
    """Run until all are open, do that, and stop."""
    stop = asyncio.Event()

    def opened() -> None:
        act()
        stop.set()

    async with asyncio.timeout(30.0):
        await foreman.run(stop, opened)


def number_of(page: bytes, sample: str) -> float:
    (line,) = [line for line in page.decode().splitlines() if line.startswith(f"{sample} ")]
    return float(line.rpartition(" ")[2])


async def test_what_all_have_counted_is_added_up() -> None:
    foreman = foreman_of(Rules(3, 1.0), programs(OPEN + SERVE))
    pages: list[bytes] = []
    await once_open(foreman, lambda: pages.append(foreman.page()))
    assert number_of(pages[0], "nearcast_server_call_seconds_count") == 21
    assert number_of(pages[0], 'nearcast_server_workers{state="open"}') == 3


async def test_a_first_worker_that_does_not_start_is_the_end() -> None:
    tried: list[int] = []
    foreman = foreman_of(Rules(2, 1.0), programs("raise SystemExit(3)", tried))
    with pytest.raises(WorkersFailedError, match="exit status 3 before it was ready"):
        await once_open(foreman, lambda: None)
    assert tried == [1]


async def test_workers_that_fail_again_and_again_are_the_end() -> None:
    tried: list[int] = []
    foreman = foreman_of(Rules(2, 1.0), programs(OPEN + "line.recv(1)\nos._exit(4)", tried))
    with pytest.raises(WorkersFailedError, match="5 times in a row"):
        async with asyncio.timeout(30.0):
            await foreman.run(asyncio.Event(), lambda: None)
    assert tried.count(1) >= 5
    assert tried.count(2) >= 5


async def test_a_worker_that_cannot_serve_is_named_and_the_others_do_not_hide_it() -> None:
    code = OPEN + "say('\"no store\"' if sys.argv[1] == '2' else 'null')\n" + SERVE
    code = code.replace("while line.recv(1): say()", "while line.recv(1): pass")
    foreman = foreman_of(Rules(2, 1.0), programs(code))
    assert foreman.missing() == "no worker is open"
    stop = asyncio.Event()

    async def missing() -> str | None:
        return foreman.missing()

    async def watch() -> None:
        await eventually(missing, 30.0, lambda told: told == "worker 2: no store")
        stop.set()

    await asyncio.gather(foreman.run(stop, lambda: None), watch())
    assert foreman.missing() == "stopping"


async def test_a_successor_that_fails_leaves_the_old_worker_at_work(tmp_path: Path) -> None:
    """The first two start; whoever comes after them does not."""
    ticket = "import os, sys\n" + f"mark = {str(tmp_path)!r} + '/' + sys.argv[1]\n"
    ticket += "os._exit(5) if os.path.exists(mark) else open(mark, 'w').close()\n"
    tried: list[int] = []
    foreman = foreman_of(Rules(2, 1.0), programs(ticket + OPEN + SERVE, tried))
    stop = asyncio.Event()

    async def page_now() -> bytes:
        return foreman.page()

    async def watch() -> bytes:
        ends = b'worker_ends_total{reason="failed"} 1.0'
        page = await eventually(page_now, 30.0, lambda told: ends in told)
        stop.set()
        return page

    _, page = await asyncio.gather(foreman.run(stop, foreman.renew), watch())
    assert tried == [1, 2, 1]
    assert number_of(page, 'nearcast_server_workers{state="open"}') == 2


@pytest.mark.parametrize("limit", [{"recycle_after_calls": 5}, {"recycle_rss_mib": 1}])
async def test_worn_workers_are_replaced_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch, limit: dict[str, int]
) -> None:
    monkeypatch.setattr("nearcast_cli.workers.foreman.LEAST_AGE_S", 0.0)
    make_spec, living = programs(OPEN + SERVE), []

    def noting(number: int, descriptor: int) -> ChildSpec:
        living.append(len(list(foreman._workers())))
        return make_spec(number, descriptor)

    foreman = foreman_of(Rules(3, 1.0, **limit), noting)
    stop = asyncio.Event()

    async def page_now() -> bytes:
        return foreman.page()

    async def watch() -> None:
        ends = 'nearcast_server_worker_ends_total{reason="replaced"}'
        await eventually(
            page_now, 30.0, lambda page: number_of(page, ends) >= 4 if ends.encode() in page else 0
        )
        stop.set()

    await asyncio.gather(foreman.run(stop, lambda: None), watch())
    assert len(living) >= 3 + 4
    assert max(living) == 3


async def test_no_place_for_another_process_is_no_reason_to_end() -> None:
    make_spec, tried = programs(OPEN + SERVE), []

    def crowded(number: int, descriptor: int) -> ChildSpec:
        tried.append(number)
        if len(tried) == 2:
            raise OSError(11, "Resource temporarily unavailable")
        return make_spec(number, descriptor)

    await once_open(foreman_of(Rules(2, 1.0), crowded), lambda: None)
    assert tried == [1, 2, 2]


async def test_a_worker_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nearcast_cli.workers.foreman.CLEAN_UP_S", 0.2)
    pids: list[int] = []
    foreman = foreman_of(Rules(2, 0.1), programs(OPEN + WAIT_TWICE))
    await once_open(foreman, lambda: pids.extend(worker.pid for worker in foreman._workers()))
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_held_door_lets_in_only_who_shares_it() -> None:
    door = Door.hold("127.0.0.1", 0)
    with pytest.raises(CommandFailedError, match="in use") as caught:
        Door.hold("127.0.0.1", door.port)
    assert caught.value.reason == "PORT_IN_USE"
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", door.port))
    with socket.create_server(("127.0.0.1", door.port), reuse_port=True):
        pass
    port = door.port
    door.close()
    Door.hold("127.0.0.1", port).close()


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(CommandFailedError, match="cannot listen") as caught:
        Door.hold("192.0.2.1", 0)
    assert caught.value.field == "gateway.grpc_port"

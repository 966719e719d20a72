"""Keeps a gateway's workers: starts them, starts the dead again, replaces the worn, ends them in order."""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from nearcast_cli.failure import CommandFailedError
from nearcast_cli.processes import Backoff
from nearcast_cli.workers.post import Post
from nearcast_cli.workers.worker import MakeSpec, Worker
from nearcast_telemetry.logs import logger
from nearcast_telemetry.merging import Merger, readings
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics
from nearcast_telemetry.pacing import pause
from nearcast_telemetry.workermetrics import SERVER_WORKER_ENDS, SERVER_WORKERS, WORKER_METRICS

TICK_S = 0.05
LOOK_EVERY_S = 1.0
MOST_FAILURES = 5
# Beyond the grace: what a gateway does after its last call, such as writing what it counted.
CLEAN_UP_S = 8.0
# A worker that is too large as soon as it has started would be replaced without end.
LEAST_AGE_S = 60.0
# Not all workers shall reach a limit at the same time.
LEAST_SPREAD = 0.9

log = logger("workers")


class WorkersFailedError(CommandFailedError):
    """Nobody is left to answer, and starting them again does not help."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How many workers there are, and when one is replaced; 0 stands for never."""

    workers: int
    grace_s: float
    recycle_after_calls: int = 0
    recycle_rss_mib: int = 0


class Foreman:
    """Owns its workers from `run` to its end. `uniform(low, high)` draws by chance."""

    def __init__(
        self,
        rules: Rules,
        make_spec: MakeSpec,
        uniform: Callable[[float, float], float],
        *,
        backoff: Backoff | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = rules
        self._make_spec = make_spec
        self._uniform = uniform
        self._backoff = backoff or Backoff()
        self._clock = clock
        self._posts = [Post(number) for number in range(1, rules.workers + 1)]
        self._registry = CollectorRegistry()
        self._metrics = Metrics(self._registry, WORKER_METRICS)
        self._merger = Merger((*SERVER_METRICS, *WORKER_METRICS))
        self._stopping = False
        self.begun = asyncio.Event()

    async def run(self, stop: asyncio.Event, opened: Callable[[], None]) -> None:
        """Until the stop; `opened` is called once all answer. WorkersFailedError when there is no hope.

        The first one is started alone: what keeps it from starting is told once, and what it leaves ready for
        others, such as compiled code, is made once. `begun` is set when it is open.
        """
        looking = asyncio.create_task(self._look_often())
        told = False
        try:
            await self._open_first(stop)
            self.begun.set()
            while not stop.is_set():
                for post in self._posts:
                    await self._tend(post)
                self._check_hope()
                await self._replace_one()
                if not told and all(post.open for post in self._posts):
                    told = True
                    opened()
                await pause(stop, TICK_S)
        finally:
            looking.cancel()
            await self._end_all()

    def renew(self) -> None:
        """Replace every worker, one after another; a successor reads the settings anew."""
        log.info("workers.renewing")
        for post in self._posts:
            post.reason = "renewed"

    async def look(self) -> None:
        """Ask every worker what it has to say."""
        await asyncio.gather(*(worker.look() for worker in self._workers()))

    def missing(self) -> str | None:
        """What keeps us from serving, None for nothing: nobody is open, or one that is sent calls cannot."""
        if self._stopping:
            return "stopping"
        answering = [post.current for post in self._posts if post.current is not None and post.current.open]
        if not answering:
            return "no worker is open"
        told = [f"worker {each.number}: {each.missing}" for each in answering if each.missing is not None]
        return "; ".join(told) or None

    def alarm(self) -> str | None:
        """What is wrong although we serve, None for nothing."""
        told = [f"worker {each.number}: {each.alarm}" for each in self._workers() if each.alarm is not None]
        return "; ".join(told) or None

    def page(self) -> bytes:
        """The metrics of all, those who have ended included."""
        workers = list(self._workers())
        states = [_state(worker) for worker in workers]
        for state in ("starting", "open", "draining"):
            self._metrics.set(SERVER_WORKERS, states.count(state), state)
        told = [(str(worker.number), worker.metrics) for worker in workers]
        return self._merger.page([*told, ("parent", readings(self._registry))])

    def _workers(self) -> Iterator[Worker]:
        for post in self._posts:
            yield from post.workers()

    async def _look_often(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def _open_first(self, stop: asyncio.Event) -> None:
        first = self._posts[0]
        first.current = await self._begin(first)
        while not (stop.is_set() or first.open):
            if first.current.exit_code is not None:
                raise WorkersFailedError(
                    f"the first worker ended with {_how(first.current.exit_code)} before it was ready",
                    reason="WORKERS_FAILED",
                    advice="It has said why.",
                )
            await pause(stop, TICK_S)

    async def _begin(self, post: Post) -> Worker:
        spread = self._uniform(LEAST_SPREAD, 1.0)
        worker = await Worker.start(post.number, self._make_spec, self._clock(), spread)
        log.info("worker.started", number=post.number, pid=worker.pid)
        return worker

    async def _begin_again(self, post: Post) -> Worker | None:
        """None when there is no place for one now: those who are there go on."""
        try:
            return await self._begin(post)
        except OSError as error:
            post.due_s = post.again_s = self._clock() + self._backoff.longest_delay_s
            log.error("worker.not_started", number=post.number, reason=error)
            return None

    async def _tend(self, post: Post) -> None:
        """What has happened at this post since the last time."""
        self._see_off(post)
        if post.successor is not None:
            self._watch_successor(post, post.successor)
        if post.current is not None and post.current.exit_code is not None:
            self._note_failure(post, post.current)
            # A successor that is on its way is there sooner than one that is started now.
            post.current, post.successor = post.successor, None
        if post.current is None and self._clock() >= post.due_s:
            post.current = await self._begin_again(post)

    def _see_off(self, post: Post) -> None:
        for worker in list(post.leaving):
            if worker.exit_code is not None:
                post.leaving.remove(worker)
                self._retire(worker, "replaced")
                log.info("worker.replaced", number=post.number, pid=worker.pid, how=_how(worker.exit_code))
            else:
                self._kill_overdue(worker)

    def _watch_successor(self, post: Post, successor: Worker) -> None:
        if successor.exit_code is not None:
            post.successor, post.again_s = None, self._clock() + self._backoff.longest_delay_s
            for each in self._posts:
                each.reason = ""  # what kept this one from starting keeps the others' from it too
            self._retire(successor, "failed")
            log.error(
                "worker.successor_failed",
                number=post.number,
                pid=successor.pid,
                how=_how(successor.exit_code),
                again_in_s=self._backoff.longest_delay_s,
            )
        elif successor.open and post.current is not None:
            post.hand_over(self._clock())

    def _note_failure(self, post: Post, worker: Worker) -> None:
        now_s = self._clock()
        post.failures = self._backoff.failures_after(post.failures, now_s - worker.started_s)
        post.due_s = now_s + self._backoff.delay_s(post.failures)
        self._retire(worker, "failed")
        log.error(
            "worker.failed",
            number=post.number,
            pid=worker.pid,
            how=_how(worker.exit_code or 0),
            retry_in_s=round(post.due_s - now_s, 1),
        )

    def _check_hope(self) -> None:
        if all(post.failures >= MOST_FAILURES and post.current is None for post in self._posts):
            raise WorkersFailedError(
                f"every worker has failed {MOST_FAILURES} times in a row",
                reason="WORKERS_FAILED",
                advice="The log lines worker.failed say how each ended, and those before them why.",
            )

    async def _replace_one(self) -> None:
        """One at a time, so that there is never more than one worker too many."""
        if any(post.changing for post in self._posts):
            return
        for post in self._posts:
            worker = post.current
            if worker is None or not worker.open or self._clock() < post.again_s:
                continue
            post.reason = post.reason or self._worn(worker)
            if post.reason:
                log.info("worker.replacing", number=post.number, pid=worker.pid, reason=post.reason)
                post.reason, post.successor = "", await self._begin_again(post)
                return

    def _worn(self, worker: Worker) -> str:
        most_calls, most_mib = self._rules.recycle_after_calls, self._rules.recycle_rss_mib
        if most_calls and worker.calls >= most_calls * worker.spread:
            return "calls"
        old = self._clock() - worker.started_s >= LEAST_AGE_S
        if most_mib and old and worker.memory_mib >= most_mib * worker.spread:
            return "memory"
        return ""

    def _retire(self, worker: Worker, reason: str) -> None:
        self._merger.retire(str(worker.number), worker.metrics)
        self._metrics.add(SERVER_WORKER_ENDS, 1, reason)
        worker.close()

    def _kill_overdue(self, worker: Worker) -> None:
        since_s = worker.draining_since_s
        if since_s is not None and self._clock() - since_s > self._rules.grace_s + CLEAN_UP_S:
            log.error("worker.killed", number=worker.number, pid=worker.pid, reason="did not end in time")
            worker.kill()

    async def _end_all(self) -> None:
        self._stopping = True
        living = list(self._workers())
        for worker in living:
            worker.drain(self._clock())
        while living:
            for worker in living:
                self._kill_overdue(worker)
            for worker in [each for each in living if each.exit_code is not None]:
                living.remove(worker)
                worker.close()
            await asyncio.sleep(TICK_S)


def _state(worker: Worker) -> str:
    if worker.draining_since_s is not None:
        return "draining"
    return "open" if worker.open else "starting"


def _how(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit status {exit_code}"

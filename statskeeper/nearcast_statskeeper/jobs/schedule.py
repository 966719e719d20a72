"""Running each job at its time, one after the other."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

from nearcast_statskeeper.leadership import Leadership
from nearcast_statskeeper.pacing import Clock
from nearcast_statskeeper.tally import Tally
from nearcast_store.errors import StoreError
from nearcast_telemetry.jobmetrics import KEEPER_JOB_FAILURES, KEEPER_JOB_SECONDS
from nearcast_telemetry.logs import logger
from nearcast_telemetry.metrics import Metrics

log = logger("keeper.jobs")


RETRY_S = 30.0

Run = Callable[[], Awaitable[dict[str, object]]]
"""Does what a job is for; gives fields for the log, none if there is nothing to say."""


@dataclass(frozen=True, slots=True)
class Job:
    """Something to do every `interval_s`."""

    name: str
    interval_s: float
    run: Run


class Schedule:
    """One turn of `step` runs what is due; `runs` counts finished runs by job."""

    def __init__(self, jobs: Sequence[Job], leadership: Leadership, metrics: Metrics, clock: Clock) -> None:
        self._jobs = jobs
        self._leadership = leadership
        self._metrics = metrics
        self._clock = clock
        self._due: dict[str, float] = {}
        self.runs = {job.name: Tally() for job in jobs}

    async def step(self) -> bool:
        """Run every job that is due; one that fails is due again soon."""
        now = self._clock()
        due = [job for job in self._jobs if self._is_due(job, now)]
        if not due or not await self._leadership.held():
            return False
        for job in due:
            self._due[job.name] = now + job.interval_s
            if not await self._run(job):
                self._due[job.name] = now + min(job.interval_s, RETRY_S)
        return False

    def _is_due(self, job: Job, now: float) -> bool:
        due = self._due.get(job.name)
        # A clock that was set back must not put a job off for longer than its interval.
        return due is None or now >= due or due - now > job.interval_s

    async def _run(self, job: Job) -> bool:
        started, worked = perf_counter(), False
        try:
            said = await job.run()
        except StoreError as error:
            self._metrics.add(KEEPER_JOB_FAILURES, 1, job.name)
            log.warning("job.put_off", job=job.name, reason=error)
        except Exception as error:  # noqa: BLE001 - no job may stop the others, and each fault is logged
            self._metrics.add(KEEPER_JOB_FAILURES, 1, job.name)
            log.error("job.failed", cause=error, job=job.name)
        else:
            worked = True
            if said:
                log.info("job.done", job=job.name, **said)
        self._metrics.observe(KEEPER_JOB_SECONDS, perf_counter() - started, job.name)
        self.runs[job.name].add()
        return worked

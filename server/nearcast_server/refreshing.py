"""Keeps the views current: every tenant is read on a beat and by itself."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from nearcast_server.following import Following, Regional
from nearcast_server.noticeboard import Noticeboard
from nearcast_server.tenancy import Tenancies
from nearcast_store.counting.protocol import CountStore
from nearcast_store.errors import StoreUnavailableError
from nearcast_store.policies.protocol import PolicyStore
from nearcast_store.tenants.protocol import Beat, TenantStore
from nearcast_telemetry.logs import logger
from nearcast_telemetry.pacing import repeat

KEEPER = "keeper"
PATIENCE_S = 1.0
log = logger("gateway")


class Refresher:
    """A tenant that takes long is waited for by nobody; one that fails keeps its last view, so marked."""

    def __init__(
        self,
        tenancies: Tenancies,
        tenants: TenantStore,
        policies: PolicyStore,
        counts: CountStore,
        board: Noticeboard,
        clock: Callable[[], float],
        regional: Regional | None = None,
    ) -> None:
        self._regional = regional
        self._tenancies = tenancies
        self._tenants = tenants
        self._policies = policies
        self._counts = counts
        self._board = board
        self._clock = clock
        self._followed: dict[int, Following] = {}
        self._running: dict[int, asyncio.Task[bool]] = {}
        self._told: dict[int, str] = {}
        self._origin: str | None = None
        self._read_once = False
        self.refreshed = asyncio.Condition()

    @property
    def read_once(self) -> bool:
        """Whether every tenant has been tried since the start."""
        return self._read_once

    async def run(self, interval_s: float, stop: asyncio.Event) -> None:
        """Refresh until told to stop."""
        await repeat(stop, interval_s, self.refresh)

    async def close(self) -> None:
        """End what is still being read."""
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def refresh(self) -> bool:
        """Read every tenant once; whether all of them were, in the time they are waited for."""
        try:
            beat = await self._tenants.last_beat(KEEPER)
            self._begin_anew_if_other(await self._tenants.origin())
            listed = [tenant_id for tenant_id, _ in await self._tenants.tenants()]
        except Exception as error:  # noqa: BLE001 - whatever it is, what is known goes on being served
            self._note(0, error)
            for view in self._tenancies.known():
                self._mark(view.tenant_id)
            return False
        self._told.pop(0, None)
        tasks = [self._task(tenant_id, beat) for tenant_id in listed]
        done, late = await asyncio.wait(tasks, timeout=PATIENCE_S) if tasks else (set(), set())
        self._read_once = self._read_once or not late
        async with self.refreshed:
            self.refreshed.notify_all()
        return not late and all(task.result() for task in done)

    def _begin_anew_if_other(self, origin: str) -> None:
        """A restored Postgres may have forgotten what was read of it, and be further all the same."""
        if self._origin not in (None, origin):
            log.warning("refresh.other_server", before=self._origin, now=origin)
            self._followed.clear()
        self._origin = origin

    def _task(self, tenant_id: int, beat: Beat | None) -> asyncio.Task[bool]:
        """The tenant's read, begun now unless one still runs."""
        task = self._running.get(tenant_id)
        if task is None:
            task = asyncio.create_task(self._read(tenant_id, beat))
            self._running[tenant_id] = task
            task.add_done_callback(lambda _: self._running.pop(tenant_id, None))
        return task

    async def _read(self, tenant_id: int, beat: Beat | None) -> bool:
        following = self._followed.get(tenant_id)
        if following is None:
            following = self._followed[tenant_id] = Following(
                tenant_id, self._policies, self._counts, self._clock, self._regional
            )
        try:
            view = await following.view(beat)
            # Both or neither: a watcher that is told looks at the view at once.
            is_void, notice = self._tenancies.publish(view), following.notice(view)
            self._board.tell(tenant_id, replace(notice, postings=None) if is_void else notice)
        except Exception as error:  # noqa: BLE001 - a fault in what one tenant has set or counted stops no other
            self._note(tenant_id, error)
            self._mark(tenant_id)
            if not isinstance(error, StoreUnavailableError | TimeoutError):
                self._followed.pop(tenant_id, None)
            return False
        self._told.pop(tenant_id, None)
        return True

    def _note(self, tenant_id: int, error: Exception) -> None:
        """Say a fault once, until it is another or over."""
        said = repr(error)
        if self._told.get(tenant_id) == said:
            return
        self._told[tenant_id] = said
        if isinstance(error, StoreUnavailableError | TimeoutError):
            log.warning("refresh.store_unavailable", tenant_id=tenant_id, error=error)
        else:
            log.error("refresh.failed", error, tenant_id=tenant_id)

    def _mark(self, tenant_id: int) -> None:
        view = self._tenancies.find(tenant_id)
        if view is not None and view.store_answers:
            self._tenancies.publish(view.unanswered())

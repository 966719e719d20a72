"""Only one keeper leads."""

from nearcast_statskeeper.leadership import Leadership


class Lock:
    """One lock, and the leases on it."""

    def __init__(self) -> None:
        self.owner: LockLease | None = None

    async def take(self) -> "LockLease | None":
        if self.owner is not None:
            return None
        self.owner = LockLease(self)
        return self.owner


class LockLease:
    """Held until released or lost."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock

    async def held(self) -> bool:
        return self._lock.owner is self

    async def release(self) -> None:
        if self._lock.owner is self:
            self._lock.owner = None


async def test_the_first_leads_and_goes_on_leading() -> None:
    lock = Lock()
    first, second = Leadership(lock.take), Leadership(lock.take)
    assert [await first.held(), await second.held(), await first.held()] == [True, False, True]


async def test_a_released_lease_passes_to_another() -> None:
    lock = Lock()
    first, second = Leadership(lock.take), Leadership(lock.take)
    await first.held()
    await first.release()
    assert await second.held()
    assert not await first.held()


async def test_who_lost_its_connection_notices_and_may_lead_again() -> None:
    lock = Lock()
    leadership = Leadership(lock.take)
    await leadership.held()
    lock.owner = LockLease(lock)
    assert not await leadership.held()
    lock.owner = None
    assert await leadership.held()


async def test_releasing_nothing_is_no_fault() -> None:
    await Leadership(Lock().take).release()

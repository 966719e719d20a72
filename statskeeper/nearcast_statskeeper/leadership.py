"""Being the one keeper that does what only one may do."""

from collections.abc import Awaitable, Callable
from typing import Protocol


class Lease(Protocol):
    """A right that ends with the connection it hangs on."""

    async def held(self) -> bool:
        """Whether it still is ours."""
        ...

    async def release(self) -> None:
        """Let another have it."""
        ...


class Leadership:
    """Takes a lease when it is free and keeps it. `take` gives None while another holds it."""

    def __init__(self, take: Callable[[], Awaitable[Lease | None]]) -> None:
        self._take = take
        self._lease: Lease | None = None

    async def held(self) -> bool:
        """Whether this keeper leads now. Raises StoreUnavailableError."""
        if self._lease is not None and not await self._lease.held():
            await self.release()
        if self._lease is None:
            self._lease = await self._take()
        return self._lease is not None

    async def release(self) -> None:
        """Lead no more."""
        lease, self._lease = self._lease, None
        if lease is not None:
            await lease.release()

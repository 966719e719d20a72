"""Tells who calls, from the API key of the call; remembers it, so that Postgres may be away for a while."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256

from nearcast_server.errors import ForbiddenError, UnauthenticatedError
from nearcast_store.errors import StoreUnavailableError
from nearcast_store.tenants.protocol import Caller, TenantStore

HEADER = "authorization"
MOST_KEY_CHARS = 256
MOST_REMEMBERED = 10_000
FRESH_S = 2.0
LOOKUP_S = 1.0
PATIENCE_S = 0.2


@dataclass(frozen=True, slots=True)
class _Known:
    caller: Caller
    read_at: float


class KeyCallers:
    """Looks keys up every few seconds; one remembered is believed for as long as Postgres does not answer."""

    def __init__(
        self, store: TenantStore, monotonic: Callable[[], float], clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._monotonic = monotonic
        self._clock = clock
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._lookups: dict[bytes, asyncio.Task[Caller | None]] = {}

    async def identify(self, metadata: Iterable[tuple[str, str | bytes]]) -> Caller:
        """Whom the call's key stands for."""
        key = _key_of(metadata)
        digest = sha256(key.encode()).digest()
        known = self._known.get(digest)
        if known is None:
            caller = await asyncio.shield(self._look_up(digest, key))
        elif self._monotonic() - known.read_at <= FRESH_S:
            caller = known.caller
        else:
            caller = await self._look_again(digest, key, known.caller)
        if caller is None or (caller.expires_at is not None and caller.expires_at <= self._clock()):
            raise UnauthenticatedError("INVALID_API_KEY", "the API key is unknown, expired or revoked")
        if caller.suspended:
            raise ForbiddenError("TENANT_SUSPENDED", "the tenant is suspended")
        return caller

    async def close(self) -> None:
        """End what still runs in the background."""
        for task in list(self._lookups.values()):
            task.cancel()
        await asyncio.gather(*self._lookups.values(), return_exceptions=True)

    async def _look_again(self, digest: bytes, key: str, remembered: Caller) -> Caller | None:
        """What Postgres says when it answers soon; a call is not held up by one that does not."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await asyncio.shield(self._look_up(digest, key))
        except (TimeoutError, StoreUnavailableError):
            return remembered

    def _look_up(self, digest: bytes, key: str) -> asyncio.Task[Caller | None]:
        """One lookup per key at a time."""
        task = self._lookups.get(digest)
        if task is None:
            task = asyncio.create_task(self._read(digest, key))
            self._lookups[digest] = task
            task.add_done_callback(lambda done: self._finished(digest, done))
        return task

    async def _read(self, digest: bytes, key: str) -> Caller | None:
        try:
            async with asyncio.timeout(LOOKUP_S):
                caller = await self._store.caller(key)
        except TimeoutError:
            raise StoreUnavailableError("the lookup of an API key took too long") from None
        # An unknown key is not remembered: guesses would push out those that are known.
        self._known.pop(digest, None)
        if caller is not None:
            self._known[digest] = _Known(caller, self._monotonic())
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return caller

    def _finished(self, digest: bytes, done: asyncio.Task[Caller | None]) -> None:
        self._lookups.pop(digest, None)
        if not done.cancelled():
            done.exception()  # a failed refresh leaves what was known; asking for it keeps asyncio quiet


def _key_of(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    sent = [value for name, value in metadata if name == HEADER]
    if not sent:
        raise UnauthenticatedError(
            "MISSING_CREDENTIALS", "no API key was sent; send metadata `authorization: Bearer <key>`"
        )
    if len(sent) > 1:
        raise UnauthenticatedError("AMBIGUOUS_CREDENTIALS", "more than one authorization header was sent")
    text = sent[0] if isinstance(sent[0], str) else ""
    scheme, _, key = text.partition(" ")
    if scheme.lower() != "bearer" or not key or len(key) > MOST_KEY_CHARS:
        raise UnauthenticatedError("INVALID_API_KEY", "the API key is unknown, expired or revoked")
    return key

"""Where the refresher says what changed, and every watcher finds what it was not told yet."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

# A watcher that is further behind reads what changed from the store: remembering it would cost more.
MOST_PENDING = 10_000


@dataclass(frozen=True, slots=True)
class Notice:
    """What a look at the counts found; `postings` None: they are not those of before, begin anew.

    `horizon` is where the next look begins; `mark` is equal as long as policy and epoch are.
    """

    postings: Collection[int] | None
    horizon: int
    mark: tuple[int, int]


@dataclass(frozen=True, slots=True)
class News:
    """What a watcher takes: `postings` are all that changed before `horizon`, and None if they are too many.

    `anew`: what was told before is void.
    """

    postings: Collection[int] | None
    horizon: int
    anew: bool


class Watch:
    """What one watcher was not told yet. However slow it is, a posting waits here once."""

    def __init__(self, latest: Notice) -> None:
        self._latest = latest
        self._pending: set[int] | None = set()
        self._anew = False
        self._woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def woken(self) -> asyncio.Future[None]:
        """Done when there is something to take."""
        return self._woken

    def note(self, notice: Notice) -> None:
        """Remember what changed."""
        moved, self._latest = notice.mark != self._latest.mark, notice
        if notice.postings is None:
            self._pending, self._anew = None, True
        elif self._pending is not None and len(self._pending) + len(notice.postings) > MOST_PENDING:
            self._pending = None
        elif self._pending is not None:
            self._pending.update(notice.postings)
        if (moved or self._pending is None or self._pending) and not self._woken.done():
            self._woken.set_result(None)

    def take(self) -> News:
        """All of it; from now on it is told."""
        news = News(self._pending, self._latest.horizon, self._anew)
        self._pending, self._anew = set(), False
        if self._woken.done():
            self._woken = asyncio.get_running_loop().create_future()
        return news


class Noticeboard:
    """One for each process: written by the refresher, read by watchers."""

    def __init__(self) -> None:
        self._latest: dict[int, Notice] = {}
        self._watches: defaultdict[int, set[Watch]] = defaultdict(set)

    def tell(self, tenant_id: int, notice: Notice) -> None:
        """What a look at a tenant's counts found."""
        self._latest[tenant_id] = notice
        for watch in self._watches.get(tenant_id, ()):
            watch.note(notice)

    @contextmanager
    def watch(self, tenant_id: int) -> Iterator[Watch]:
        """Everything that is told of the tenant from now on; KeyError before the first look."""
        watch = Watch(self._latest[tenant_id])
        self._watches[tenant_id].add(watch)
        try:
            yield watch
        finally:
            self._watches[tenant_id].discard(watch)
            if not self._watches[tenant_id]:
                del self._watches[tenant_id]

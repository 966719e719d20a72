"""The rule behind WatchStats: what changed since a watcher was told last, with nothing missed in between.

While it keeps up, a watcher is told what the refresher finds changed. Otherwise, and at first, it catches up:
it reads what changed since its own horizon from the store, page by page. Values are absolute and read when
they are told, so one who is slow skips what was between.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from nearcast_server.feedreports import FeedReport
from nearcast_server.noticeboard import Noticeboard, Watch
from nearcast_server.reporting import ItemReport, Reporter
from nearcast_server.standings import FeedStanding
from nearcast_server.tenancy import Tenancies
from nearcast_server.watchtokens import Progress, WatchTokens
from nearcast_store.counting.protocol import CountStore

PAGE_ITEMS = 200


@dataclass(frozen=True, slots=True)
class Wish:
    """What a caller wants to watch; no ids: every item."""

    tenant_id: int
    item_ids: tuple[str, ...] = ()
    snapshot: bool = False
    resume_token: str = ""


@dataclass(frozen=True, slots=True)
class Update:
    """One message. `feeds` are all of them when they were weighed anew, else none.

    `settled`: everything that had changed by then was told.
    """

    items: Sequence[ItemReport]
    feeds: Sequence[FeedReport]
    mark: tuple[int, int]  # revision, epoch
    read_at: float
    resume_token: str
    settled: bool
    standing: FeedStanding | None = None


class Watcher:
    """Follows what one caller wishes to watch."""

    def __init__(
        self, reporter: Reporter, counts: CountStore, tenancies: Tenancies, wish: Wish, watch: Watch
    ) -> None:
        self._reporter = reporter
        self._counts = counts
        self._tenancies = tenancies
        self._tokens = WatchTokens(tenancies)
        self._wish = wish
        self.watch = watch
        # From this horizon on the watch is told everything; what changed before is read from the store.
        self._joined = watch.take().horizon
        self._progress = self._anew(0 if wish.snapshot else self._joined)

    async def begin(self) -> None:
        """Find the place of the resume token, if there is one. Raises InvalidRequestError."""
        if not self._wish.resume_token:
            return
        self._progress = self._tokens.open(self._wish.tenant_id, self._wish.item_ids, self._wish.resume_token)
        # A horizon in the future is another server's, or this one's before it was restored.
        is_foreign = max(self._progress.since, self._progress.until) > await self._counts.horizon()
        if is_foreign or self._progress.rules != self._rules:
            self._progress = self._anew(0)
        self._fall_behind()

    async def updates(self) -> AsyncGenerator[Update, None]:
        """What there is to tell now; whoever stops at one of them resumes by its token."""
        news = self.watch.take()
        if news.anew:
            self._progress = self._anew(0)
        if news.postings is None:
            self._joined = news.horizon
            self._fall_behind()
        async for page in self._catch_up():
            yield await self._tell(page, settled=False)
        changed = await self._wished(news.postings or ())
        for start in range(0, len(changed), PAGE_ITEMS):
            rest = changed[start:]
            if len(rest) <= PAGE_ITEMS:
                self._advance(news.horizon)
            yield await self._tell(rest[:PAGE_ITEMS], settled=len(rest) <= PAGE_ITEMS)
        self._advance(news.horizon)
        if self._tenancies.view(self._wish.tenant_id).mark != self._progress.mark:
            yield await self._tell((), settled=True)

    async def sign_of_life(self) -> Update:
        """Nothing, and where to go on."""
        return await self._tell((), settled=not self._is_behind())

    @property
    def _rules(self) -> int:
        return self._tenancies.view(self._wish.tenant_id).evidence.rules

    def _anew(self, since: int) -> Progress:
        """From there on, by the rules of now."""
        return Progress(since, rules=self._rules)

    def _fall_behind(self) -> None:
        """While a transaction runs horizons stand still: what others were told may have the one we know."""
        if not self._progress.until:
            until = max(self._joined, self._progress.since)
            self._progress = replace(self._progress, until=until, after=0)

    def _is_behind(self) -> bool:
        return self._progress.until > 0 or self._progress.since < self._joined

    async def _catch_up(self) -> AsyncIterator[Sequence[int]]:
        while self._is_behind():
            if not self._progress.until:
                self._progress = replace(self._progress, until=self._joined, after=0)
            while page := await self._next_page():
                self._progress = replace(self._progress, after=page[-1])
                yield page
            self._progress = replace(self._progress, since=self._progress.until, until=0, after=0)

    async def _next_page(self) -> Sequence[int]:
        """What of the items changed since `since`; of few items it costs less to tell them all."""
        wish, progress = self._wish, self._progress
        if not wish.item_ids:
            return await self._counts.changed_postings(
                wish.tenant_id, progress.since, progress.after, PAGE_ITEMS
            )
        wished = await self._reporter.postings(wish.tenant_id, wish.item_ids)
        return [posting for posting in wished if posting > progress.after][:PAGE_ITEMS]

    async def _wished(self, postings: Collection[int]) -> list[int]:
        if self._wish.item_ids and postings:
            postings = set(postings) & set(
                await self._reporter.postings(self._wish.tenant_id, self._wish.item_ids)
            )
        return sorted(postings)

    def _advance(self, horizon: int) -> None:
        self._progress = replace(self._progress, since=max(self._progress.since, horizon))

    async def _tell(self, postings: Sequence[int], *, settled: bool) -> Update:
        tenant_id, view = self._wish.tenant_id, self._tenancies.view(self._wish.tenant_id)
        items = await self._reporter.items(view, postings) if postings else []
        told = await self._reporter.feeds(view) if view.mark != self._progress.mark else None
        self._progress = replace(self._progress, mark=view.mark)
        token = self._tokens.close(tenant_id, self._wish.item_ids, self._progress)
        feeds, standing = (told.feeds, told.standing) if told else ([], None)
        return Update(items, feeds, view.mark, view.read_at, token, settled, standing)


class StatsWatch:
    """Opens watchers."""

    def __init__(
        self, reporter: Reporter, counts: CountStore, tenancies: Tenancies, board: Noticeboard
    ) -> None:
        self._reporter = reporter
        self._counts = counts
        self._tenancies = tenancies
        self._board = board

    @contextmanager
    def follow(self, wish: Wish) -> Iterator[Watcher]:
        """A watcher, and everything that changes from now on. UnavailableError before the first look."""
        self._tenancies.view(wish.tenant_id)
        with self._board.watch(wish.tenant_id) as watch:
            yield Watcher(self._reporter, self._counts, self._tenancies, wish, watch)

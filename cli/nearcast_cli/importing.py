"""Batches of items from a file to the server: some at a time, patient with a server that is away."""

import random
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from grpc import StatusCode

from nearcast.v1.catalog_pb2 import UpsertItemsRequest, UpsertItemsResponse
from nearcast_cli.calling import CallFailedError, Gateway
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.itemfile.batching import Batch
from nearcast_cli.itemfile.journal import Journal

PATIENCE_S = 60.0
FIRST_DELAY_S = 0.2
LONGEST_DELAY_S = 5.0
PARALLEL = 4
_PASSING = frozenset({StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED, StatusCode.DEADLINE_EXCEEDED})

Pause = Callable[[float], object]


def pause(seconds: float) -> None:
    """Wait on the wall clock."""
    threading.Event().wait(seconds)


class Importer:
    """Sends batches, `parallel` at a time; of two versions of an item the later in the file is sent later.

    No more than that many batches are in memory: the file is read as fast as the server takes it.
    """

    def __init__(
        self,
        gateway: Gateway,
        journal: Journal,
        noticed: Callable[[Journal], None],
        *,
        parallel: int = PARALLEL,
        pause: Pause | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gateway = gateway
        self._journal = journal
        self._noticed = noticed
        self._parallel = parallel
        self._stopping = threading.Event()
        self._pause = pause or self._stopping.wait
        self._clock = clock
        self._answered = False
        self._sent: dict[Future[UpsertItemsResponse | None], Batch] = {}

    def send(self, batches: Iterable[Batch]) -> None:
        """All of them. Raises CommandFailedError; what was acknowledged by then is in the journal."""
        with ThreadPoolExecutor(self._parallel) as threads:
            try:
                for batch in batches:
                    while len(self._sent) == self._parallel or self._holds_any(batch):
                        self._settle_some()
                    self._sent[threads.submit(self._call, batch)] = batch
                while self._sent:
                    self._settle_some()
            except CallFailedError as error:
                self._give_up()
                raise self._broken_off(error) from error
            except BaseException:
                self._give_up()
                raise

    def _holds_any(self, batch: Batch) -> bool:
        """Whether an item of it is on its way: the earlier version must be there first."""
        return any(not batch.item_ids.isdisjoint(sent.item_ids) for sent in self._sent.values())

    def _settle_some(self) -> None:
        for future in wait(self._sent, return_when=FIRST_COMPLETED).done:
            answer = future.result()
            self._journal.settle(self._sent.pop(future), answer)
            self._noticed(self._journal)

    def _give_up(self) -> None:
        """Nothing more is sent; what is on its way is still heard, so that it is not sent again."""
        self._stopping.set()
        wait(self._sent)
        for future, batch in self._sent.items():
            if future.exception() is None:
                self._journal.settle(batch, future.result())

    def _call(self, batch: Batch) -> UpsertItemsResponse | None:
        """One batch, sent again while the server is away."""
        if not batch.rows:
            return None
        request = UpsertItemsRequest(items=[row.item for row in batch.rows])
        deadline_s, delay_s = self._clock() + PATIENCE_S, FIRST_DELAY_S
        while True:
            try:
                response = self._gateway.call(self._gateway.catalog.UpsertItems, request)
            except CallFailedError as error:
                if self._is_final(error, deadline_s):
                    raise
                self._pause(max(error.retry_after_s or 0.0, delay_s * random.uniform(0.75, 1.25)))
                delay_s = min(delay_s * 2, LONGEST_DELAY_S)
            else:
                self._answered = True
                return response

    def _is_final(self, error: CallFailedError, deadline_s: float) -> bool:
        never_there = error.unreached and not self._answered
        given_up = self._stopping.is_set() or self._clock() > deadline_s
        return error.code not in _PASSING or never_there or given_up

    def _broken_off(self, error: CallFailedError) -> CommandFailedError:
        journal, counted = self._journal, self._journal.counted
        if not counted.written and not counted.refused:
            return error
        return CommandFailedError(
            f"stopped after line {journal.mark.line}, {counted.written} items imported: {error.message}",
            reason=error.reason,
            advice=journal.how_to_go_on(),
            details={"code": error.code.name, **journal.as_dict(), "lastLine": journal.mark.line},
        )

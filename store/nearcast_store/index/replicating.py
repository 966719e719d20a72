"""Keeping the segment of a tenant on this host abreast of the tenant's index in Redis."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from nearcast_catalogue.item import ServedItem
from nearcast_replica.changes import Applied, SegmentChange, Unfit
from nearcast_replica.errors import UnusableSnapshotError
from nearcast_replica.files import Files
from nearcast_replica.growing import GrowingGeneration
from nearcast_replica.merging import Merge
from nearcast_replica.saving import save
from nearcast_replica.writing import SegmentWriter
from nearcast_store.index.following import Everything, Followed, IndexFollower, Mark, Resync
from nearcast_telemetry.heap import give_back

APPLIED_AT_ONCE = 500
# Whoever starts from an older snapshot has so much more to catch up with.
SAVED_EVERY_S = 300.0
# An index that lost its tail is brought forward again within a second or two while a relay runs. Until it
# has stayed behind for so long, what is served is newer, and right.
REPAIRED_WITHIN_S = 5.0

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Mark)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the segment is: `waiting` changes are known of and not in it; why it was last read anew.

    Nothing is served while `sequence` is None.
    """

    sequence: int | None = None
    waiting: int = 0
    resyncs: int = 0
    reason: str = ""
    unreadable: int = 0


class Replicator:
    """One turn of `step` brings the segment forward. The writer is its own; whoever made it closes it.

    `render` gives the display message of an item, and `tell` the statistics that each of some items begins
    with; `prime` is shown each generation that was made from nothing before anybody reads it. Raises
    IndexUnavailableError; what is served then stays.
    """

    def __init__(
        self,
        follower: IndexFollower,
        writer: SegmentWriter,
        files: Files,
        render: Callable[[ServedItem], bytes],
        prime: Callable[[GrowingGeneration], None] = lambda _: None,
        tell: Callable[[Sequence[ServedItem]], Sequence[tuple[int, ...]]] = lambda items: [()] * len(items),
    ) -> None:
        self._follower = follower
        self._writer = writer
        self._files = files
        self._tenant_id = files.tenant_id
        self._render = render
        self._prime = prime
        self._tell = tell
        self._mark: Mark | None = None
        self._saved_at: float | None = None
        self._behind_since: float | None = None
        self._tried_to_restore = False
        self._merging: asyncio.Task[GrowingGeneration] | None = None
        self._merge: Merge | None = None
        self._is_reading = False
        self.standing = Standing()

    def restore(self) -> bool:
        """Serve what was saved last, before anything is asked; whether there was something."""
        return self._restored() is not None

    async def step(self) -> bool:
        """Carry over what there is; whether there may be more."""
        mark = self._mark or self._restored()
        if mark is None:
            return await self._read_anew(self.standing.reason)
        asked_at = self._writer.now()
        followed = await self._follower.after(self._tenant_id, mark, APPLIED_AT_ONCE)
        if isinstance(followed, Resync):
            if followed.reason == "rolled_back" and self._is_worth_waiting():
                return False
            return await self._read_anew(followed.explanation)
        self._note_behind(False)
        await self._apply(followed)
        if not followed.waiting:
            self._writer.note_abreast(asked_at)
        await self._keep_short()
        return followed.waiting > 0

    async def save(self) -> None:
        """Write what is served to disk, as when the process ends: then it is served again at once."""
        await self._end_merge()
        if self._mark is not None and self._writer.serving is not None:
            await asyncio.to_thread(save, self._writer.serving, self._files, _encoder.encode(self._mark))

    async def settle(self) -> bool:
        """Finish what is being merged; whether somebody else may begin a merge.

        Not while everything is read anew.
        """
        await self._end_merge()
        return not self._is_reading and self._writer.serving is not None

    def _restored(self) -> Mark | None:
        if self._tried_to_restore:
            return None
        self._tried_to_restore = True
        try:
            self._mark = _decoder.decode(self._writer.restore())
        except (UnusableSnapshotError, msgspec.DecodeError) as error:
            self._note(reason=str(error))
            return None
        self._note(sequence=self._writer.sequence)
        return self._mark

    async def _apply(self, followed: Followed) -> None:
        changes = self._rendered(followed)
        if not isinstance(self._writer.apply(changes), Applied):
            # It is full, since what the follower gives is without a gap.
            await self._end_merge()
            # What is to be told of them may be another by now.
            for change in self._rendered(followed):
                if not isinstance(self._writer.apply([change]), Applied):
                    self._writer.merge()
                    _expect_room(self._writer.apply([change]))
        self._mark = followed.mark
        self._writer.tend()
        self._note(
            sequence=self._writer.sequence,
            waiting=followed.waiting,
            unreadable=self.standing.unreadable + followed.unreadable,
        )

    def _rendered(self, followed: Followed) -> list[SegmentChange]:
        told = iter(self._tell([change.served for change in followed.changes if change.served is not None]))
        return [
            SegmentChange(change.sequence, change.posting, None)
            if change.served is None
            else SegmentChange(
                change.sequence, change.posting, change.served, self._render(change.served), next(told)
            )
            for change in followed.changes
        ]

    async def _keep_short(self) -> None:
        """Merge beside what is served; now and then the result is saved before anyone changes it."""
        if self._merging is not None:
            if self._merging.done():
                await self._end_merge()
        elif self._writer.wants_merge() and self._mark is not None:
            self._merge = self._writer.begin_merge()
            now = asyncio.get_running_loop().time()
            if self._saved_at is None or now - self._saved_at >= SAVED_EVERY_S:
                self._saved_at = now
                note = _encoder.encode(self._mark)
                running = asyncio.to_thread(_run_and_save, self._merge, self._files, note)
            else:
                running = asyncio.to_thread(self._merge.run)
            self._merging = asyncio.create_task(running)

    async def _end_merge(self) -> None:
        merging, merge, self._merging, self._merge = self._merging, self._merge, None, None
        if merging is None or merge is None:
            return
        try:
            merged = await merging
        except BaseException:
            self._writer.drop_merge(merge)
            raise
        self._writer.finish_merge(merge, merged)
        # A merge works on copies of all that changed, in a thread's own part of the heap.
        give_back()

    async def _read_anew(self, reason: str) -> bool:
        """What is served stays until the new generation is complete."""
        everything = await self._follower.read_all(self._tenant_id)
        if everything is None:
            self._note(reason="Redis holds nothing of the tenant")
            self._note_behind(True)
            return False
        self._note(reason=reason, resyncs=self.standing.resyncs + 1)
        self._is_reading = True
        try:
            await self._end_merge()
            caught_up = await self._caught_up(await self._filled(everything), everything.mark)
        finally:
            self._is_reading = False
        if caught_up is not None:
            fresh, self._mark = caught_up
            self._prime(fresh)
            self._writer.adopt(fresh)
            self._note_behind(False)
            self._note(sequence=self._mark.sequence, waiting=0)
        return True

    def _is_worth_waiting(self) -> bool:
        """Whether the index may yet be brought to where it was."""
        self._note_behind(True)
        assert self._behind_since is not None
        return self._writer.now() - self._behind_since < REPAIRED_WITHIN_S

    def _note_behind(self, is_behind: bool) -> None:
        """Readers are told that what they have is more than the index holds."""
        if not is_behind:
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = self._writer.now()
        self._writer.note_index_behind(is_behind and self._writer.serving is not None)
        self._writer.tend()

    async def _filled(self, everything: Everything) -> GrowingGeneration:
        filling = self._writer.begin_filling()
        try:
            async for batch in everything.batches:
                filling.add(batch, [self._render(served) for served in batch])
                self._writer.tend()
            return await asyncio.to_thread(filling.finish, everything.mark.sequence)
        except BaseException:
            filling.discard()
            raise

    async def _caught_up(self, fresh: GrowingGeneration, mark: Mark) -> tuple[GrowingGeneration, Mark] | None:
        """Only then what was read is a state that ever was; None when it cannot become one."""
        while True:
            followed = await self._follower.after(self._tenant_id, mark, APPLIED_AT_ONCE)
            if isinstance(followed, Resync):
                return None
            changes = self._rendered(followed)
            if not isinstance(fresh.apply(changes), Applied):
                for change in changes:
                    if not isinstance(fresh.apply([change]), Applied):
                        fresh = await asyncio.to_thread(self._writer.with_room, fresh)
                        _expect_room(fresh.apply([change]))
            mark = followed.mark
            if not followed.waiting:
                return fresh, mark

    def _note(self, **told: Any) -> None:
        self.standing = replace(self.standing, **told)


def _expect_room(answer: Applied | Unfit) -> None:
    """One item fits into a generation that is new."""
    assert isinstance(answer, Applied), answer


def _run_and_save(merge: Merge, files: Files, note: bytes) -> GrowingGeneration:
    merged = merge.run()
    save(merged, files, note)
    return merged

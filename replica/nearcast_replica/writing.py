"""The one writer of a tenant's segment on a host: what readers are given, and when they get the next."""

from collections.abc import Callable, Sequence

from nearcast_replica.changes import Applied, SegmentChange, Unfit
from nearcast_replica.control import ControlPage, Declined
from nearcast_replica.files import Files
from nearcast_replica.filling import Filling
from nearcast_replica.growing import GrowingGeneration, Words
from nearcast_replica.merging import Merge
from nearcast_replica.saving import restore
from nearcast_replica.sizing import Reserve

# Readers map a new generation beside their requests; until they have, the old one is kept up to date.
_GRACE_S = 10.0


class SegmentWriter:
    """Used by one thread; only what `begin_filling` and `begin_merge` return may be worked on in another.

    Raises SecondWriterError when there is a writer already.
    """

    def __init__(
        self,
        files: Files,
        build: str,
        kinds: tuple[int, ...],
        clock: Callable[[], float],
        reserve: Reserve | None = None,
    ) -> None:
        files.directory.mkdir(parents=True, exist_ok=True)
        files.cold_directory.mkdir(parents=True, exist_ok=True)
        self._files = files
        self._build = build
        self._kinds = kinds
        self._clock = clock
        self._reserve = reserve or Reserve()
        self._control = ControlPage.create(files.control)
        self._number = max([self._control.generation, *files.numbers()])
        self._serving: GrowingGeneration | None = None
        self._leaving: GrowingGeneration | None = None
        self._leaves_at = 0.0
        self._merge: Merge | None = None
        self._told_since: list[Sequence[SegmentChange] | Words] = []
        self._merged_at = clock()

    @property
    def serving(self) -> GrowingGeneration | None:
        """What readers are given; None before the first generation."""
        return self._serving

    @property
    def kinds(self) -> tuple[int, ...]:
        """The kinds of event that have statistics."""
        return self._kinds

    @property
    def sequence(self) -> int | None:
        """The last change that is published."""
        return None if self._serving is None else self._serving.sequence

    def apply(self, changes: Sequence[SegmentChange]) -> Applied | Unfit:
        """Publish changes that follow the last one: readers see each whole or not at all."""
        assert self._serving is not None, "fill a generation first"
        answer = self._serving.apply(changes)
        if isinstance(answer, Applied):
            self._note(changes)
            if self._leaving is not None and isinstance(self._leaving.apply(changes), Unfit):
                self._let_leave()
        self.tend()
        return answer

    def put_statistics(self, told: Words) -> None:
        """Replace the words of one kind; postings that do not live are passed over."""
        for generation in (self._serving, self._leaving):
            if generation is not None:
                generation.put_statistics(told)
        self._note(told)

    def tend(self) -> None:
        """Say that the writer lives, and let go of what nobody needs any more; about once a second."""
        now = self._clock()
        if self._leaving is not None and now >= self._leaves_at:
            self._let_leave()
        if self._serving is not None:
            self._control.beat(now, self._serving.sequence, self._serving.pending)

    def now(self) -> float:
        """By the writer's clock, unix seconds."""
        return self._clock()

    def note_abreast(self, at: float) -> None:
        """All that the index held at that time is in what readers are given."""
        self._control.note_abreast(at)

    def note_index_behind(self, is_behind: bool) -> None:
        """Whether the index has lost what readers are given."""
        self._control.note_index_behind(is_behind)

    def decline(self, why: Declined) -> None:
        """Hold nothing of the tenant: readers are told so, and give back what they have mapped."""
        self._let_leave()
        self._merge, self._told_since = None, []
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.cold.close()
        self._control.note_declined(why)
        self._control.switch(0)
        self._files.remove()

    def begin_filling(self) -> Filling:
        """A generation from nothing, to be given to `adopt`; until then nothing changes for readers.

        A merge that is under way comes to nothing.
        """
        self._number += 1
        self._merge, self._told_since = None, []
        self._control.note_resync(True)
        return Filling(self._files, self._number, self._build, self._kinds, self._reserve)

    def adopt(self, generation: GrowingGeneration) -> None:
        """Readers are given this generation from here on; a merge that is under way comes to nothing."""
        self._merge, self._told_since = None, []
        self._serve(generation)
        self._control.note_resync(False)

    def wants_merge(self) -> bool:
        """Whether the tail has become long, or old."""
        if self._serving is None or self._merge is not None or not self._serving.pending:
            return False
        is_long = self._serving.pending >= self._reserve.longest_tail(self._serving.segment.shape.sorted_rows)
        return is_long or self._clock() - self._merged_at >= self._reserve.merge_after_s

    def begin_merge(self) -> Merge:
        """The next generation; run it anywhere, then give it to `finish_merge`."""
        assert self._serving is not None, "fill a generation first"
        self._number += 1
        self._told_since = []
        self._merge = Merge(self._serving, self._files, self._number, self._reserve)
        return self._merge

    def finish_merge(
        self, merge: Merge, merged: GrowingGeneration, retell: Callable[[Sequence[int]], None] | None = None
    ) -> bool:
        """Tell it what came meanwhile, and serve it; False when it was overtaken by another generation.

        One that is of other rules than what is served has to be given `retell`, which tells it of postings.
        """
        if merge is not self._merge:
            merge.discard()
            return False
        told, self._told_since, self._merge = self._told_since, [], None
        for each in told:
            if isinstance(each, Words):
                merged.put_statistics(each)
            elif isinstance(merged.apply(each), Unfit):
                merge.discard()
                return False
        if retell is not None:
            retell(sorted(_postings(told)))
        self._serve(merged)
        return True

    def drop_merge(self, merge: Merge) -> None:
        """It failed; another may be begun."""
        merge.discard()
        if merge is self._merge:
            self._merge, self._told_since = None, []

    def merge(self) -> bool:
        """All of it here and now."""
        merge = self.begin_merge()
        return self.finish_merge(merge, merge.run())

    def with_room(self, generation: GrowingGeneration) -> GrowingGeneration:
        """The same as one that is not served yet, with room for more."""
        self._number += 1
        return Merge(generation, self._files, self._number, self._reserve).run()

    def restore(self) -> bytes:
        """Serve what was saved last; the note that was saved with it. Raises UnusableSnapshotError."""
        self._number += 1
        generation, note = restore(self._files, self._number, self._build, self._kinds, self._reserve)
        # It may be older than what a writer that was killed has left.
        self._control.note_abreast(self._files.manifest.stat().st_mtime)
        self.adopt(generation)
        return note

    def close(self) -> None:
        """The last generation stays readable for whoever has mapped it or maps it later."""
        self._let_leave()
        self._control.close()

    def leave(self) -> None:
        """After what is served was saved: give back the memory; whoever has mapped it reads on."""
        self._files.remove_columns()

    def _serve(self, generation: GrowingGeneration) -> None:
        self._let_leave()
        self._leaving, self._serving = self._serving, generation
        if self._leaving is not None and self._leaving.rules != generation.rules:
            # What is told from here on would be foreign to it.
            self._let_leave()
        now = self._clock()
        self._leaves_at, self._merged_at = now + _GRACE_S, now
        self._control.beat(now, generation.sequence, generation.pending)
        self._control.switch(generation.generation.number)
        self._control.note_declined(Declined.NOT)
        self._files.keep_only(generation.generation.number, generation.cold.path)

    def _let_leave(self) -> None:
        leaving, self._leaving = self._leaving, None
        if leaving is not None and self._serving is not None and leaving.cold is not self._serving.cold:
            leaving.cold.close()

    def _note(self, told: Sequence[SegmentChange] | Words) -> None:
        if self._merge is not None:
            self._told_since.append(told)


def _postings(told: Sequence[Sequence[SegmentChange] | Words]) -> set[int]:
    """Of all that these say something of."""
    found: set[int] = set()
    for each in told:
        found.update(each.postings.tolist() if isinstance(each, Words) else (one.posting for one in each))
    return found

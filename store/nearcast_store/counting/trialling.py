"""Which session was shown which feed, and whether it was pleased: stored once, and counted by feed."""

from collections.abc import Mapping, Sequence

from nearcast_store.counting.tallying import Trial, TrialKey, merge, tally_changes
from nearcast_store.postgres import Connection, arrays_of
from nearcast_store.queries import queries

_TRIALS = queries("trials")


async def store_trials(connection: Connection, trials: Mapping[TrialKey, Trial]) -> None:
    """Those of a batch, within its transaction; what they change is added to the counts of feeds."""
    ordered = sorted(trials.items())
    made = await connection.fetch(_TRIALS["add_trials"], *arrays_of((*key, *trial) for key, trial in ordered))
    changed = {key: trials[key] for key in (TrialKey(*row) for row in made)}
    before: dict[TrialKey, Trial] = {}
    if len(made) < len(ordered):
        before = await _earlier_trials(connection, [key for key, _ in ordered if key not in changed])
        merged = {key: merge(trial, trials[key]) for key, trial in before.items()}
        moved = {key: trial for key, trial in merged.items() if trial != before[key]}
        before = {key: before[key] for key in moved}
        changed |= moved
        if moved:
            rows = arrays_of((*key, *trial) for key, trial in moved.items())
            await connection.execute(_TRIALS["change_trials"], *rows)
    await _add_feed_counts(connection, changed, before)


async def _earlier_trials(connection: Connection, keys: Sequence[TrialKey]) -> dict[TrialKey, Trial]:
    """Locked: whoever changes them next sees what becomes of them here."""
    rows = await connection.fetch(_TRIALS["lock_trials"], *arrays_of(keys))
    return {TrialKey(*row[:4]): Trial(*row[4:]) for row in (tuple(row) for row in rows)}


async def _add_feed_counts(
    connection: Connection, changed: Mapping[TrialKey, Trial], before: Mapping[TrialKey, Trial]
) -> None:
    tallies = sorted(tally_changes(changed, before).items())
    if not tallies:
        return
    keys = arrays_of(key for key, _ in tallies)
    await connection.execute(_TRIALS["make_feed_counts"], *keys)
    await connection.execute(_TRIALS["lock_feed_counts"], *keys)
    await connection.execute(_TRIALS["add_feed_counts"], *arrays_of((*key, *tally) for key, tally in tallies))

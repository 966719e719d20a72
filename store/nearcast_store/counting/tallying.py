"""What new ledger rows add to the counts: pure, so that every adapter counts alike in any order."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from uuid import UUID

import numpy as np
from msgspec.structs import replace

from nearcast_ledger.event import Unlearned
from nearcast_ledger.identity import Identity
from nearcast_ledger.kinds import IMPRESSION, PASSED_OVER, position_bucket
from nearcast_ledger.requestid import hour_bucket
from nearcast_ledger.surface import segment_of
from nearcast_store.counting.columns import LedgerRows, hours_of
from nearcast_store.counting.protocol import LedgerRow


class CountKey(NamedTuple):
    """What one integer is counted by."""

    tenant_id: int
    posting: int
    market: int
    kind: int
    bucket: int
    position_bucket: int
    feed: int
    explore: bool


class TrialKey(NamedTuple):
    """One session that was shown one feed in one policy epoch: the master learns from it once."""

    tenant_id: int
    policy_epoch: int
    session_hash: bytes
    feed: int


class Trial(NamedTuple):
    """It counts where and when the session was shown the feed first; later rows can only move it earlier."""

    bucket: int
    market: int
    rewarded: bool
    segment: int = 0


class FeedKey(NamedTuple):
    """What trials and rewards are counted by."""

    tenant_id: int
    market: int
    feed: int
    bucket: int
    segment: int = 0


class Tally(NamedTuple):
    """Trials and rewards to add; less than none where a trial moves away."""

    trials: int
    rewards: int


def one_of_each(rows: Iterable[LedgerRow]) -> list[LedgerRow]:
    """Each identity once: learned before unlearned, reported before implied, with the longest dwell."""
    chosen: dict[Identity, LedgerRow] = {}
    dwells: dict[Identity, int] = {}
    for row in rows:
        known = chosen.setdefault(row.identity, row)
        if known is not row and _precedence(row) > _precedence(known):
            chosen[row.identity] = row
        if row.event.dwell_ms is not None:
            dwells[row.identity] = max(row.event.dwell_ms, dwells.get(row.identity, 0))
    for identity, dwell_ms in dwells.items():
        row = chosen[identity]
        if row.event.dwell_ms != dwell_ms:
            chosen[identity] = replace(row, event=replace(row.event, dwell_ms=dwell_ms))
    return list(chosen.values())


def count_rows(rows: Iterable[LedgerRow]) -> Counter[CountKey]:
    """How often each kind happened, of rows that are learned from."""
    return Counter(
        CountKey(
            row.identity.tenant_id,
            claims.posting,
            claims.market,
            row.event.kind,
            hour_bucket(claims.request_id),
            position_bucket(claims.position),
            claims.feed,
            claims.explore,
        )
        for row in rows
        if (claims := row.event.claims) is not None and not row.event.unlearned
    )


def count_passed_over(rows: Iterable[LedgerRow]) -> Counter[CountKey]:
    """Impressions below the last act at which people left their answer, of all rows of these answers."""
    learned = [row for row in rows if row.cascades and row.event.claims and not row.event.unlearned]
    lowest: dict[tuple[int, UUID], int] = {}
    for row in learned:
        if row.event.kind != IMPRESSION and row.event.claims:
            answer = (row.identity.tenant_id, row.event.claims.request_id)
            lowest[answer] = max(row.event.claims.position, lowest.get(answer, 0))
    passed = [
        row
        for row in learned
        if row.event.kind == IMPRESSION
        and (claims := row.event.claims)
        and claims.position > lowest.get((row.identity.tenant_id, claims.request_id), claims.position)
    ]
    counts = count_rows(passed)
    return Counter({key._replace(kind=PASSED_OVER): count for key, count in counts.items()})


def find_trials(rows: Iterable[LedgerRow]) -> dict[TrialKey, Trial]:
    """What sessions were shown and did; an exploring answer and one without an epoch are nobody's choice."""
    trials: dict[TrialKey, Trial] = {}
    shown: tuple[object, ...] = ()
    for row in rows:
        event = row.event
        claims = event.claims
        if event.unlearned or claims is None or claims.explore or claims.policy_epoch <= 0:
            continue
        rewarded = row.rewards_feed and event.kind != IMPRESSION
        if not rewarded and event.kind != IMPRESSION:
            continue
        # The items of a slate lie side by side, and all but the first say nothing new.
        slate = (
            *(row.identity.tenant_id, claims.request_id, claims.feed),
            *(claims.session_hash, claims.market, claims.policy_epoch, claims.scenario),
        )
        if not rewarded and slate == shown:
            continue
        shown = slate
        key = TrialKey(row.identity.tenant_id, claims.policy_epoch, claims.session_hash, claims.feed)
        segment = segment_of(claims.scenario)
        trial = Trial(hour_bucket(claims.request_id), claims.market, rewarded, segment)
        known = trials.get(key)
        if known != trial:
            trials[key] = merge(known, trial)
    return trials


def find_trials_in(rows: LedgerRows) -> dict[TrialKey, Trial]:
    """The same of rows in columns: the rows of a decision say it together."""
    table, decided = rows.rows, rows.decisions
    learned = table["claimed"] & (table["unlearned"] == Unlearned.LEARNED)
    learned &= (rows.decided("explore") == 0) & (rows.decided("policy_epoch") > 0)
    rewarded = learned & table["rewards_feed"] & (table["kind"] != IMPRESSION)
    telling = table[rewarded | learned & (table["kind"] == IMPRESSION)]
    places, firsts = np.unique(telling["decision"], return_index=True)
    rewards = np.isin(places, table["decision"][rewarded])
    trials: dict[TrialKey, Trial] = {}
    for source, epoch, session, feed, bucket, market, surface, reward in zip(
        telling["source"][firsts].tolist(),
        *(decided[name][places].tolist() for name in ("policy_epoch", "session_hash", "feed")),
        hours_of(decided["high"][places]).tolist(),
        decided["market"][places].tolist(),
        decided["scenario"][places].tolist(),
        rewards.tolist(),
        strict=True,
    ):
        key = TrialKey(rows.sources[source].tenant_id, epoch, session, feed)
        trials[key] = merge(trials.get(key), Trial(bucket, market, reward, segment_of(surface)))
    return trials


def merge(one: Trial | None, other: Trial) -> Trial:
    """The same whichever comes first."""
    if one is None:
        return other
    bucket, market, segment = min((each.bucket, each.market, each.segment) for each in (one, other))
    return Trial(bucket, market, one.rewarded or other.rewarded, segment)


def tally_changes(
    changed: Mapping[TrialKey, Trial], before: Mapping[TrialKey, Trial]
) -> dict[FeedKey, Tally]:
    """What the counts of feeds change by when these trials become what they are."""
    trials: Counter[FeedKey] = Counter()
    rewards: Counter[FeedKey] = Counter()
    for sign, some in ((1, changed), (-1, before)):
        for key, trial in some.items():
            place = FeedKey(key.tenant_id, trial.market, key.feed, trial.bucket, trial.segment)
            trials[place] += sign
            rewards[place] += sign * trial.rewarded
    return {
        place: Tally(trials[place], rewards[place]) for place in trials if trials[place] or rewards[place]
    }


def _precedence(row: LedgerRow) -> int:
    if row.event.unlearned is not Unlearned.LEARNED:
        return 0
    return 1 if row.implied else 2

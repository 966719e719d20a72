"""What has been learned of feeds, over all markets or of one market and segment, as their shares go by it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from nearcast_bandit.posterior import Prior
from nearcast_bandit.trials import HOURS_PER_DAY, narrowed_posterior, trial_posterior
from nearcast_catalogue.echo import printable
from nearcast_server.choosing import ALL_MARKETS, Lineup, eligible_feeds
from nearcast_server.errors import InvalidRequestError
from nearcast_server.evidence import SECONDS_PER_HOUR
from nearcast_server.standings import FeedStanding, stand
from nearcast_server.tenancy import View
from nearcast_store.counting.protocol import FeedCount
from nearcast_store.policies.numbering import own_feeds

_Hours = Mapping[int, Sequence[tuple[int, int, int]]]


class Part(NamedTuple):
    """Of whom: those in a market, 0 for all markets together, and of a segment, "" for everybody."""

    market: int = ALL_MARKETS
    market_id: str = ""
    segment: str = ""


EVERYBODY = Part()


@dataclass(frozen=True, slots=True)
class FeedReport:
    """One feed."""

    feed: str
    trials: int
    rewards: int
    probability: float
    a: float
    b: float
    best: float = 0.0


@dataclass(frozen=True, slots=True)
class FeedsReport:
    """Every feed, and how they stand against each other."""

    feeds: Sequence[FeedReport]
    standing: FeedStanding


def part_of(view: View, market: str, segment: str) -> Part:
    """Raises InvalidRequestError for a market or segment that there is none of."""
    number = view.atlas.numbers.get(market) if market else ALL_MARKETS
    if number is None:
        raise InvalidRequestError.of(
            "market",
            "MARKET_UNKNOWN",
            f"must be the id of an enabled market, got {printable(market)}; ListMarkets lists them",
        )
    known = view.revision.segments
    if segment and segment not in known:
        raise InvalidRequestError.of(
            "segment",
            "SEGMENT_UNKNOWN",
            f"must be one of {', '.join(known) or 'none, as the policy names no segments'},"
            f" got {printable(segment)}",
        )
    return Part(number, market, segment)


def feeds_report(view: View, counts: Iterable[FeedCount], part: Part, now: float) -> FeedsReport:
    """Takes tens of milliseconds: best called in a thread."""
    policy, hour = view.revision.policy, now / SECONDS_PER_HOUR
    told = _told(list(counts), part, view.revision.segments.get(part.segment, 0))
    shares, held = _shares(view, part), own_feeds(policy)
    reports = []
    for name in (*policy.feeds, *held):
        number = view.revision.feeds[name]
        a, b = _posterior(view, told, number, part, hour)
        share = policy.master.holdout_share if name in held else shares.get(name, 0.0)
        own = told[-1].get(number, ())
        reports.append(FeedReport(name, sum(h[1] for h in own), sum(h[2] for h in own), share, a, b))
    known = eligible_feeds(view.revision, policy.scenarios["default"], part.market_id)
    first = min((each[0] for seen in told[-1].values() for each in seen), default=hour)
    standing = stand(
        {report.feed: (report.a, report.b) for report in reports if report.feed in known},
        max(hour - first, 0.0) / HOURS_PER_DAY,
    )
    return FeedsReport(
        [replace(report, best=standing.best.get(report.feed, 0.0)) for report in reports], standing
    )


def _told(counts: Sequence[FeedCount], part: Part, segment: int) -> list[_Hours]:
    """Hours by feed: those of everybody, then those of each narrower part."""
    told = [_hours(counts)]
    if part.market:
        counts = [count for count in counts if count.market == part.market]
        told.append(_hours(counts))
    if part.segment:
        told.append(_hours(count for count in counts if count.segment == segment))
    return told


def _hours(counts: Iterable[FeedCount]) -> _Hours:
    hours: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for count in counts:
        hours[count.feed].append((count.bucket, count.trials, count.rewards))
    return hours


def _posterior(
    view: View, told: Sequence[_Hours], feed: int, part: Part, now_hours: float
) -> tuple[float, float]:
    """As the shares of the part go by it; told also where the policy gives markets no shares of their own."""
    master, segments = view.revision.policy.master, view.revision.policy.segments
    everywhere, half_life_days = told[0].get(feed, ()), master.half_life_days
    found = trial_posterior(
        everywhere, Prior(master.prior_mean, master.prior_strength), half_life_days, now_hours
    )
    strengths = [master.parent_strength] if part.market else []
    strengths += [segments.parent_strength] if part.segment else []
    for hours, strength in zip(told[1:], strengths, strict=True):
        found = narrowed_posterior(found, hours.get(feed, ()), strength, half_life_days, now_hours)
    return found


def _shares(view: View, part: Part) -> dict[str, float]:
    """What share of sessions each feed is given now, of people who are known."""
    revision, epoch = view.revision, view.latest_epoch
    feeds = eligible_feeds(revision, revision.policy.scenarios["default"], part.market_id)
    published = epoch and Lineup(revision, feeds, part.market, part.segment).published(epoch)
    return {share.feed: share.probability for share in published or ()}

"""How good the answers were: how much of the gap between a random order and the best order was closed."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field

from nearcast_town.life import Look
from nearcast_town.truth import Stakes


@dataclass(frozen=True, slots=True)
class Window:
    """Sums over the questions of one stretch of time; `policy`, `random` and `oracle` are what is expected:
    clicks, unless it was said what acts are worth.

    They come from the hidden rates, so they carry no noise of clicks; `clicks` and `applies` are what really
    happened. `newcomers` is how often items born less than two days ago come on screen in expectation, and
    `newcomers_even` how often they would under a random order.
    """

    asks: int = 0
    candidates: int = 0
    policy: float = 0.0
    random: float = 0.0
    oracle: float = 0.0
    random_variance: float = 0.0
    impressions: int = 0
    clicks: int = 0
    applies: int = 0
    visits: int = 0
    newcomers: float = 0.0
    newcomers_even: float = 0.0
    feeds: Mapping[str, int] = field(default_factory=dict)

    @property
    def gap_closed(self) -> float:
        """(policy - random) / (oracle - random); NaN where there was nothing to win."""
        gap = self.oracle - self.random
        return (self.policy - self.random) / gap if gap > 0 else math.nan

    @property
    def regret(self) -> float:
        """What the best order would have led to beyond this."""
        return self.oracle - self.policy


@dataclass(frozen=True, slots=True)
class ClickTest:
    """One-sided: did people click more than a random order would have made them?"""

    clicks: int
    expected: float
    deviation: float
    p_value: float


class Meter:
    """Adds up what happened, in windows of equal length in the town's time."""

    def __init__(self, start_s: float, window_s: float) -> None:
        if not window_s > 0:
            raise ValueError(f"window_s is {window_s}; it must be above 0")
        self.window_s = window_s
        self._start_s = start_s
        self._tallies: list[_Tally] = []
        self.unanswered = 0
        self.turnovers = 0
        self.learned = 0
        self.sent: Counter[str] = Counter()

    def add(self, at_s: float, feed: str, worth: float, stakes: Stakes, look: Look) -> None:
        """One answered question."""
        tally = self._tally(at_s)
        tally.asks += 1
        tally.candidates += stakes.candidates
        tally.policy += worth
        tally.random += stakes.random
        tally.oracle += stakes.oracle
        tally.random_variance += stakes.random_variance
        tally.impressions += len(look.impressions)
        tally.clicks += look.views
        tally.applies += look.applies
        tally.feeds[feed] = tally.feeds.get(feed, 0) + 1

    def begin_visit(self, at_s: float) -> None:
        """Somebody who was not here the moment before asks."""
        self._tally(at_s).visits += 1

    def add_newcomers(self, at_s: float, shown: float, even: float) -> None:
        """How often one answer brings newcomers on screen, and how often a random order would."""
        tally = self._tally(at_s)
        tally.newcomers += shown
        tally.newcomers_even += even

    def windows(self) -> tuple[Window, ...]:
        """All windows so far, the current one included; one without a question is empty."""
        return tuple(tally.window() for tally in self._tallies)

    def _tally(self, at_s: float) -> "_Tally":
        index = int((at_s - self._start_s) / self.window_s)
        while len(self._tallies) <= index:
            self._tallies.append(_Tally())
        return self._tallies[index]


def total(windows: Iterable[Window]) -> Window:
    """Several windows as one."""
    tally = _Tally()
    for window in windows:
        tally.asks += window.asks
        tally.candidates += window.candidates
        tally.policy += window.policy
        tally.random += window.random
        tally.oracle += window.oracle
        tally.random_variance += window.random_variance
        tally.impressions += window.impressions
        tally.clicks += window.clicks
        tally.applies += window.applies
        tally.visits += window.visits
        tally.newcomers += window.newcomers
        tally.newcomers_even += window.newcomers_even
        for feed, asks in window.feeds.items():
            tally.feeds[feed] = tally.feeds.get(feed, 0) + asks
    return tally.window()


def beats_random(window: Window) -> ClickTest:
    """Compare the clicks of a window with those expected of a random order of the same candidates.

    Clicks of different questions are independent under a random order, so their sum is nearly normal; the
    variance used is an upper bound and half a click is taken off, so the p-value errs on the safe side.
    """
    deviation = math.sqrt(window.random_variance)
    if deviation == 0:
        return ClickTest(window.clicks, window.random, 0.0, 1.0)
    score = (window.clicks - 0.5 - window.random) / deviation
    return ClickTest(window.clicks, window.random, deviation, 0.5 * math.erfc(score / math.sqrt(2)))


@dataclass(slots=True)
class _Tally:
    asks: int = 0
    candidates: int = 0
    policy: float = 0.0
    random: float = 0.0
    oracle: float = 0.0
    random_variance: float = 0.0
    impressions: int = 0
    clicks: int = 0
    applies: int = 0
    visits: int = 0
    newcomers: float = 0.0
    newcomers_even: float = 0.0
    feeds: dict[str, int] = field(default_factory=dict)

    def window(self) -> Window:
        return Window(**asdict(self))

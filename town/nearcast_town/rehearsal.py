"""Two policies on the same towns: what would change, and whether it is more than chance."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearcast_town.intervals import Interval, interval
from nearcast_town.measure import Window
from nearcast_town.report import Report

PER_QUESTIONS = 1000


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a life; of some the more is the better, of some the less, of some neither."""

    key: str
    words: str
    of: Callable[[Report], float]
    better: int


@dataclass(frozen=True, slots=True)
class Line:
    """A figure under both policies, and the difference, paired by town: new less old."""

    measure: Measure
    old: Interval
    new: Interval
    difference: Interval

    @property
    def says(self) -> str:
        """Better, worse, more or less where the interval tells; otherwise that it does not."""
        if math.isnan(self.difference.mean):
            return "nothing to measure"
        if not self.difference.is_known:
            return "one town tells nothing of chance"
        if self.difference.low <= 0 <= self.difference.high:
            return "no difference to be told"
        way = 1 if self.difference.mean > 0 else -1
        if not self.measure.better:
            return "more" if way > 0 else "less"
        return "better" if way == self.measure.better else "worse"


def _per(sum_of: Callable[[Window], float], count_of: Callable[[Window], float]) -> Callable[[Report], float]:
    def figure(report: Report) -> float:
        count = count_of(report.overall)
        return sum_of(report.overall) / count if count else math.nan

    return figure


MEASURES = (
    Measure("gap_closed_last_fifth", "gap closed, last 20 %", lambda report: report.last.gap_closed, 1),
    Measure("gap_closed", "gap closed, all the time", lambda report: report.overall.gap_closed, 1),
    Measure(
        "clicks_per_session",
        "clicks per session",
        _per(lambda window: window.clicks, lambda window: window.visits),
        1,
    ),
    Measure(
        "applies_per_session",
        "applies per session",
        _per(lambda window: window.applies, lambda window: window.visits),
        1,
    ),
    Measure(
        "regret",
        f"clicks missed per {PER_QUESTIONS:,} questions",
        _per(lambda window: PER_QUESTIONS * window.regret, lambda window: window.asks),
        -1,
    ),
    Measure(
        "newcomer_exposure",
        "new items' exposure (1 = an even share)",
        _per(lambda window: window.newcomers, lambda window: window.newcomers_even),
        0,
    ),
)


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """The lives of the same towns under an old and a new policy, in the same order."""

    old: tuple[Report, ...]
    new: tuple[Report, ...]

    def __post_init__(self) -> None:
        seeds = [[report.seed for report in reports] for reports in (self.old, self.new)]
        if seeds[0] != seeds[1] or not seeds[0]:
            raise ValueError(f"the towns of both must be the same, not {seeds[0]} and {seeds[1]}")

    @property
    def lines(self) -> tuple[Line, ...]:
        """Every measure."""
        return tuple(_line(measure, self.old, self.new) for measure in MEASURES)

    def as_dict(self) -> dict[str, object]:
        """Values that JSON can hold; missing ones are null."""
        return {
            "seeds": [report.seed for report in self.old],
            "measures": {
                line.measure.key: {
                    "old": _ends(line.old),
                    "new": _ends(line.new),
                    "difference": _ends(line.difference),
                    "says": line.says,
                }
                for line in self.lines
            },
            "old": [report.as_dict() for report in self.old],
            "new": [report.as_dict() for report in self.new],
        }

    def text(self) -> str:
        """One line for each measure."""
        head = f"{'':40}{'old':>10}{'new':>10}  difference (95 %)"
        width = max(len(span(line.difference)) for line in self.lines) + 2
        rows = [
            f"{line.measure.words:40}{shown(line.old.mean):>10}{shown(line.new.mean):>10}  "
            f"{span(line.difference):{width}}{line.says}"
            for line in self.lines
        ]
        return "\n".join([head, *rows])


def shown(value: float) -> str:
    """A figure; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:,.3f}"


def span(found: Interval) -> str:
    """A difference with its interval."""
    if math.isnan(found.mean):
        return "-"
    ends = f" ({found.low:+.3f} to {found.high:+.3f})" if found.is_known else ""
    return f"{found.mean:+.3f}{ends}"


def mean_curve(reports: Sequence[Report], of: Callable[[Window], float]) -> list[Interval]:
    """A figure of each window, over the towns."""
    windows = min(len(report.windows) for report in reports)
    return [interval([of(report.windows[at]) for report in reports]) for at in range(windows)]


def _line(measure: Measure, old: Sequence[Report], new: Sequence[Report]) -> Line:
    before, after = [measure.of(report) for report in old], [measure.of(report) for report in new]
    differences = [later - earlier for earlier, later in zip(before, after, strict=True)]
    return Line(measure, interval(before), interval(after), interval(differences))


def _ends(found: Interval) -> dict[str, float | None]:
    return {
        name: None if math.isnan(value) else value
        for name, value in (("mean", found.mean), ("low", found.low), ("high", found.high))
    }

"""What is told of a town's life: for people as text, for programs as plain values."""

import math
from dataclasses import dataclass

from nearcast_town.measure import Meter, Window, total
from nearcast_town.plot import plot_lines, sparkline, thin

LAST_PART = 0.2
CURVE_WIDTH = 60


@dataclass(frozen=True, slots=True)
class Report:
    """One life of one world under one backend."""

    seed: int
    window_s: float
    windows: tuple[Window, ...]
    unanswered: int
    turnovers: int
    sent: dict[str, int]
    learned: int

    @classmethod
    def of(cls, seed: int, meter: Meter) -> "Report":
        """The report of what a meter has added up so far."""
        return cls(
            seed=seed,
            window_s=meter.window_s,
            windows=meter.windows(),
            unanswered=meter.unanswered,
            turnovers=meter.turnovers,
            sent=dict(meter.sent),
            learned=meter.learned,
        )

    @property
    def overall(self) -> Window:
        """Everything."""
        return total(self.windows)

    @property
    def last(self) -> Window:
        """The last 20 % of the windows: what had been learned in the end."""
        return total(self.windows[len(self.windows) - math.ceil(len(self.windows) * LAST_PART) :])

    @property
    def curve(self) -> tuple[float, ...]:
        """The gap closed in each window; NaN where nobody asked."""
        return tuple(window.gap_closed for window in self.windows)

    def as_dict(self) -> dict[str, object]:
        """Values that JSON can hold; missing ones are null."""
        return {
            "seed": self.seed,
            "window_s": self.window_s,
            "gap_closed": _known(self.overall.gap_closed),
            "gap_closed_last_fifth": _known(self.last.gap_closed),
            "curve": [_known(value) for value in self.curve],
            "overall": _window_as_dict(self.overall),
            "last_fifth": _window_as_dict(self.last),
            "unanswered": self.unanswered,
            "turnovers": self.turnovers,
            "events_sent": self.sent,
            "events_learned": self.learned,
        }

    def text(self) -> str:
        """A table and the curve, for a terminal."""
        overall, last = self.overall, self.last
        rows = [
            f"{'':24}{'all':>12}{'last 20 %':>12}",
            _row("questions", overall.asks, last.asks),
            _row(
                "candidates per question",
                _per_ask(overall.candidates, overall),
                _per_ask(last.candidates, last),
            ),
            _row("clicks per question", _per_ask(overall.clicks, overall), _per_ask(last.clicks, last)),
            _row("  expected", _per_ask(overall.policy, overall), _per_ask(last.policy, last)),
            _row("  of a random order", _per_ask(overall.random, overall), _per_ask(last.random, last)),
            _row("  of the best order", _per_ask(overall.oracle, overall), _per_ask(last.oracle, last)),
            _row("gap closed", overall.gap_closed, last.gap_closed),
        ]
        sent = ", ".join(f"{count} {kind}" for kind, count in sorted(self.sent.items()))
        notes = [
            f"events: {sent or 'none'}; {self.learned} learned from",
            f"births and deaths: {self.turnovers}; questions without an answer: {self.unanswered}",
            f"feeds in the last 20 %: {_feeds(last)}",
            "",
            "gap closed over time",
            *plot_lines(thin(self.curve, CURVE_WIDTH)),
        ]
        return "\n".join([f"seed {self.seed}", *rows, *notes])


@dataclass(frozen=True, slots=True)
class Summary:
    """Several seeds side by side."""

    reports: tuple[Report, ...]

    @property
    def last_gaps_closed(self) -> tuple[float, ...]:
        """The gap closed in the last 20 %, by seed."""
        return tuple(report.last.gap_closed for report in self.reports)

    @property
    def mean_last_gap_closed(self) -> float:
        """Mean over the seeds."""
        return sum(self.last_gaps_closed) / len(self.reports)

    def as_dict(self) -> dict[str, object]:
        """Values that JSON can hold."""
        return {
            "seeds": [report.seed for report in self.reports],
            "gap_closed_last_fifth_mean": _known(self.mean_last_gap_closed),
            "gap_closed_last_fifth_min": _known(min(self.last_gaps_closed)),
            "reports": [report.as_dict() for report in self.reports],
        }

    def text(self) -> str:
        """One line per seed, then the mean."""
        lines = [f"{'seed':>6}  {'gap closed, last 20 %':>21}  over time"]
        for report in self.reports:
            curve = sparkline(thin(report.curve, CURVE_WIDTH))
            lines.append(f"{report.seed:>6}  {report.last.gap_closed:>21.3f}  {curve}")
        lines.append(
            f"{'mean':>6}  {self.mean_last_gap_closed:>21.3f}  (lowest {min(self.last_gaps_closed):.3f})"
        )
        return "\n".join(lines)


def _window_as_dict(window: Window) -> dict[str, object]:
    return {
        "questions": window.asks,
        "candidates": window.candidates,
        "impressions": window.impressions,
        "clicks": window.clicks,
        "expected_clicks": window.policy,
        "expected_clicks_random": window.random,
        "expected_clicks_oracle": window.oracle,
        "feeds": dict(window.feeds),
    }


def _per_ask(value: float, window: Window) -> float:
    return value / window.asks if window.asks else math.nan


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _row(name: str, *values: float) -> str:
    return f"{name:24}" + "".join(
        f"{value:>12}" if isinstance(value, int) else f"{value:>12.3f}" for value in values
    )


def _feeds(window: Window) -> str:
    most_first = sorted(window.feeds.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{feed} {asks / window.asks:.0%}" for feed, asks in most_first) or "none"

"""What is being learned, to be watched: a table on a terminal, a line now and then elsewhere."""

from collections.abc import Callable

from rich.console import Group
from rich.table import Table
from rich.text import Text

from nearcast.v1.stats_pb2 import ItemStats, KindStats
from nearcast_cli.house.figures import SERVICES, Figures
from nearcast_cli.livesimulation import clicks_line

ROWS = 12
BAR_WIDTH = 20
RATED_KIND = "view"
HEALTHY = "healthy"
# Not a fault at first: items are being read into memory, and machine code is being made or loaded.
COLD = ("CANDIDATES_FROM_REDIS",)
SHOWN_KINDS = ("impression", "view", "save", "apply")
TrueRate = Callable[[str], float]


def board(figures: Figures, events_per_s: float, true_rate: TrueRate | None) -> Group:
    """The whole table."""
    parts: list[Table | Text] = [_headline(figures, events_per_s)]
    if figures.stats is not None and figures.stats.items:
        parts += [Text(), _items(figures, true_rate), Text(), _feeds(figures)]
    elif figures.stats is not None:
        parts.append(Text("Nothing has been seen yet."))
    if figures.town is not None and figures.town.last_minute is not None:
        parts.append(Text(f"\nThe town's last minute: {clicks_line(figures.town.last_minute)}"))
    return Group(*parts)


def line(figures: Figures, events_per_s: float) -> str:
    """The same in one line."""
    parts = [health_words(figures), _counted(figures, events_per_s)]
    if figures.stats is not None and figures.stats.feeds:
        best = max(figures.stats.feeds, key=lambda feed: feed.probability)
        parts.append(f"feed {best.feed} {best.probability:.0%}")
    best_items = top_items(figures)[:1]
    parts += [f"best {item.title or item.item_id} {_rated(item).rate:.1%}" for item in best_items]
    if figures.town is not None and figures.town.last_minute is not None:
        parts.append(clicks_line(figures.town.last_minute))
    return " · ".join(parts)


def health_words(figures: Figures) -> str:
    """All is well, or what is not."""
    away = [service for service in SERVICES if not figures.health.get(service, False)]
    if len(away) == len(SERVICES):
        return "the gateway does not answer"
    if away:
        return f"cannot serve {', '.join(away)}"
    if figures.answer.refusal:
        return f"questions are refused: {figures.answer.refusal}"
    if figures.answer.degraded == COLD:
        return "answers come from Redis until the replica is ready"
    return f"degraded: {', '.join(figures.answer.degraded)}" if figures.answer.degraded else HEALTHY


def _counted(figures: Figures, events_per_s: float) -> str:
    if figures.stats is None:
        return "statistics could not be read"
    return f"{figures.events} events ({events_per_s:.0f}/s)"


def top_items(figures: Figures) -> list[ItemStats]:
    """Those believed to be opened most, of the ones that were seen most."""
    items = list(figures.stats.items) if figures.stats else []
    return sorted(items, key=lambda item: (-_rated(item).rate, item.item_id))


def _rated(item: ItemStats) -> KindStats:
    """The kind that items are compared by."""
    others = [kind for kind in item.kinds if kind.kind != "impression"]
    named = [kind for kind in others if kind.kind == RATED_KIND]
    return (named or others or [KindStats()])[0]


def _headline(figures: Figures, events_per_s: float) -> Text:
    health = health_words(figures)
    text = Text(health, style="green" if health == HEALTHY else "yellow")
    if figures.stats is None:
        text.append("   statistics could not be read   Ctrl-C stops", style="dim")
        return text
    counted = ", ".join(f"{figures.total(kind)} {kind}s" for kind in ("impression", "view"))
    text.append(
        f"   {figures.events} events counted, {events_per_s:.0f}/s   {counted}   Ctrl-C stops", style="dim"
    )
    return text


def _items(figures: Figures, true_rate: TrueRate | None) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title_justify="left")
    table.add_column("most promising", max_width=44)
    for name in (*SHOWN_KINDS, "rate"):
        table.add_column(name, justify="right", no_wrap=True)
    if true_rate is not None:
        table.add_column("truth", justify="right", no_wrap=True, style="dim")
    for item in top_items(figures)[:ROWS]:
        counts = {kind.kind: kind.count for kind in item.kinds}
        title = Text(item.title or item.item_id, no_wrap=True, overflow="ellipsis")
        cells = [title, *(Text(str(counts.get(kind, 0))) for kind in SHOWN_KINDS)]
        cells.append(Text(f"{_rated(item).rate:.1%}", style="bold"))
        if true_rate is not None:
            cells.append(Text(f"{true_rate(item.item_id):.1%}"))
        table.add_row(*cells)
    return table


def _feeds(figures: Figures) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, justify in (("feed", "left"), ("share", "left"), ("sessions", "right"), ("rewarded", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for feed in figures.stats.feeds if figures.stats else ():
        bar = "█" * round(feed.probability * BAR_WIDTH)
        rewarded = f"{feed.rewards} ({feed.rewards / feed.trials:.0%})" if feed.trials else "0"
        share = Text(f"{bar:<{BAR_WIDTH}} {feed.probability:.0%}")
        table.add_row(Text(feed.feed), share, Text(str(feed.trials)), Text(rewarded))
    return table

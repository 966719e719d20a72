"""A judgement as one HTML page that needs nothing beside it: figures, plots, and what is missing."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.evaluation.report import Estimate
from nearcast_bandit.evaluation.verdict import Outcome
from nearcast_cli.evaluating.items import ItemReport
from nearcast_cli.evaluating.judgement import Judgement
from nearcast_cli.evaluating.plots import NEW, OLD, Mark, Pair, gains_plot, histogram, pairs_plot
from nearcast_cli.evaluating.telling import (
    NAMES,
    advice,
    basis,
    estimate_rows,
    feeds_told,
    heading,
    market_rows,
    position_pairs,
    position_rows,
)

_EDGES = (0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 100.0)
_SHORT = {"ips": "IPS", "snips": "SNIPS", "direct": "model", "doubly_robust": "DR"}
_COLOURS = {Outcome.BETTER: "#146c43", Outcome.NO_WORSE: "#146c43", Outcome.WORSE: "#a12622"}
_STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; color: #2b3140; margin: 2rem auto; max-width: 60rem;
  padding: 0 1rem; }}
h1 {{ font-size: 1.5rem; margin-bottom: .2rem; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
.verdict {{ padding: .8rem 1.2rem; border-left: .5rem solid; background: #f7f8fb; }}
.verdict b {{ font-size: 1.8rem; margin-right: 1rem; }} .verdict span {{ font-size: 1.1rem; }}
.verdict p {{ margin: .3rem 0; }}
.cards {{ display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }}
.card {{ flex: 1 1 9rem; border: 1px solid #e3e7ee; border-radius: .4rem; padding: .6rem .8rem; }}
.card b {{ display: block; font-size: 1.4rem; }} .card small {{ color: #5a6478; }}
.lacking {{ border-color: #8a6d1b; background: #fdf8e7; }} .lacking b {{ color: #8a6d1b; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ text-align: right; padding: .25rem .6rem; border-bottom: 1px solid #e3e7ee;
  white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
.scroll {{ overflow-x: auto; }} svg {{ width: 100%; height: auto; }}
.old::before, .new::before {{ content: "● "; }}
.old::before {{ color: {OLD}; }} .new::before {{ color: {NEW}; }}
code {{ background: #f3f5f9; padding: 0 .2rem; }}
"""
Rows = Iterable[Sequence[str]]


def page(judgement: Judgement, tenant: str, source: str) -> str:
    """The whole document."""
    asked, reward, *changes = heading(judgement, tenant, source)
    body = [
        "<h1>Would it have been better?</h1>",
        f"<p>{escape(asked)}.<br>{escape(reward)} per request.</p>",
        *_verdict(judgement),
        "<h2>What changes</h2>",
        _listed(changes, code=True) or "<p>Nothing.</p>",
        *(_items(judgement, judgement.items) if judgement.items is not None else ()),
        *_feeds(judgement),
        "<h2>What it rests on</h2>",
        _listed(basis(judgement)),
    ]
    inner = "\n".join(body)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>An evaluation of {escape(source)}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n{inner}\n</body>\n</html>\n"
    )


def weight_counts(weights: Floats) -> list[tuple[str, int]]:
    """How many rows have a weight of about so much."""
    names = ["0", *(f"to {edge:g}" for edge in _EDGES[1:]), f"over {_EDGES[-1]:g}"]
    places = np.searchsorted(_EDGES, weights, side="left")
    counts = np.bincount(places, minlength=len(names))
    return list(zip(names, counts.tolist(), strict=True))


def _verdict(judgement: Judgement) -> Iterator[str]:
    colour = _COLOURS.get(judgement.outcome, "#8a6d1b")
    advised, why = advice(judgement)
    refusals = judgement.refusals()
    said = "No verdict" if refusals else f"Verdict: {judgement.outcome}."
    yield (
        f'<div class="verdict" style="border-color: {colour}">'
        f'<b style="color: {colour}">{escape(advised)}</b>'
        f"<span>{escape(said)}</span><p>{escape(why)}</p>{_listed(refusals)}</div>"
    )
    if judgement.items is not None:
        yield _cards(judgement, judgement.items)
    gains = list(_gains(judgement))
    if gains:
        yield "<h2>Gain over the policy in force</h2>"
        guardrail, are_sure = 100 * judgement.question.gate.guardrail, not refusals
        yield gains_plot("Gain, with 95 % intervals", gains, guardrail, are_sure=are_sure)


def _cards(judgement: Judgement, items: ItemReport) -> str:
    gate, support = judgement.question.gate, items.wanted.support
    unsupported, gain = support.unsupported or 0.0, items.wanted.gain
    cards = (
        ("gain", "none" if gain is None else f"{gain.value:+.1%}", _interval(gain), True),
        (
            "effective sample size",
            f"{support.effective:.0f}",
            f"at least {gate.least_effective:g} needed",
            support.effective >= gate.least_effective,
        ),
        (
            "unsupported",
            f"{unsupported:.2%}",
            f"at most {gate.most_unsupported:.0%} allowed",
            unsupported <= gate.most_unsupported,
        ),
        (
            "mean weight",
            f"{support.mean_weight:.3f}",
            f"{support.mean_weight_expected:.3f} is right ({support.mean_weight_z:+.1f} standard errors)",
            abs(support.mean_weight_z) <= gate.most_weight_z,
        ),
        (
            "judged",
            f"{support.requests}",
            f"of {judgement.evidence.found} decisions, {support.sessions} sessions",
            True,
        ),
    )
    said = "".join(
        f'<div class="card{"" if is_well else " lacking"}"><small>{escape(name)}</small>'
        f"<b>{escape(value)}</b><small>{escape(note)}</small></div>"
        for name, value, note, is_well in cards
    )
    return f'<div class="cards">{said}</div>'


def _interval(gain: Estimate | None) -> str:
    return "nothing was earned" if gain is None else f"95 %: {gain.low:+.1%} to {gain.high:+.1%}"


def _gains(judgement: Judgement) -> Iterator[tuple[str, Mark]]:
    """In per cent."""
    named = [("items", judgement.items), ("feeds alone", judgement.feeds)]
    markets = () if judgement.items is None else judgement.items.markets
    found = [(name, each.wanted) for name, each in named if each is not None]
    for name, each in (*found, *((market.market_id or "(no market)", market.wanted) for market in markets)):
        enough = name == "items" or each.verdict.outcome is not Outcome.REFUSED
        if each.gain is not None and enough:
            yield name, Mark(100 * each.gain.value, 100 * each.gain.low, 100 * each.gain.high)


def _items(judgement: Judgement, items: ItemReport) -> Iterator[str]:
    by, current, wanted = items.wanted.judged_by, items.current, items.wanted
    yield "<h2>Reward per request</h2>"
    yield '<p><span class="old">in force</span> &nbsp; <span class="new">new</span></p>'
    names = [name for name in wanted.estimates if name in NAMES]
    yield pairs_plot(
        "Reward per request by estimator",
        [Pair(_SHORT[name], _mark(current.estimates[name]), _mark(wanted.estimates[name])) for name in names],
        "estimator, with 95 % intervals by session",
    )
    yield _table(("estimator", "in force", "95 %", "new", "95 %"), estimate_rows(current, wanted))
    yield f"<h2>By position, {escape(NAMES[by])}</h2>"
    yield pairs_plot(
        "Reward by position",
        [
            Pair(
                str(after.position),
                Mark(before.values[by], *before.intervals[by]),
                Mark(after.values[by], *after.intervals[by]),
            )
            for before, after in position_pairs(current, wanted)
        ],
        "position, with 95 % intervals by session",
    )
    yield _table(
        ("position", "rows", "in force", "new", "95 %", "ESS", "largest weight"),
        position_rows(current, wanted),
    )
    yield "<h2>Weights</h2>"
    yield histogram("Weights of rows", weight_counts(items.weights), "weight of a row (new over logged)")
    if items.markets:
        yield "<h2>By market</h2>"
        yield pairs_plot(
            "Reward per request by market",
            [
                Pair(
                    market.market_id or "(none)",
                    _mark(market.current.estimates[by]),
                    _mark(market.wanted.estimates[by]),
                )
                for market in items.markets
            ],
            "market",
        )
        yield _table(("market", "requests", "in force", "new", "gain"), market_rows(judgement))


def _feeds(judgement: Judgement) -> Iterator[str]:
    feeds = judgement.feeds
    if feeds is None:
        return
    yield "<h2>By feeds alone</h2>"
    yield f"<p>Sessions that were pleased: {escape(feeds_told(feeds))}</p>"
    yield _table(
        ("feed", "share now, in force", "share now, new"),
        ((feed, f"{before:.2%}", f"{after:.2%}") for feed, (before, after) in feeds.shares.items()),
    )
    yield _table(("estimator", "in force", "95 %", "new", "95 %"), estimate_rows(feeds.current, feeds.wanted))


def _table(head: Sequence[str], rows: Rows) -> str:
    said = "".join(f"<th>{escape(name)}</th>" for name in head)
    lines = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table>\n<tr>{said}</tr>\n{lines}\n</table></div>'


def _listed(lines: Sequence[str], *, code: bool = False) -> str:
    if not lines:
        return ""
    said = [f"<code>{escape(line.strip())}</code>" if code else escape(line) for line in lines]
    return "<ul>\n" + "\n".join(f"<li>{line}</li>" for line in said) + "\n</ul>"


def _mark(estimate: Estimate) -> Mark:
    return Mark(estimate.value, estimate.low, estimate.high)

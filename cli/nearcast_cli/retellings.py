"""A logged decision in words."""

from collections.abc import Sequence
from datetime import UTC, datetime

import click

from nearcast_bandit.unruled import Move
from nearcast_cli.printing import distance, print_table
from nearcast_server.appraising import Cause
from nearcast_server.decidedbeliefs import Begun, KindTold
from nearcast_server.decidedfactors import Multiplied
from nearcast_server.retelling import DecisionTold, ItemTold

_MOST_PLACES_SHOWN = 3
_LEAST_CHANCE = 1e-9
_WITHOUT_DECIMALS = 1000.0
_RULES = {"pins": "pins", "diversity": "diversity", "newcomers": "places for new items"}
_CAUSES: dict[Cause, str] = {
    "LATER": "it came to be after the decision",
    "SHOWN_BEFORE": "an earlier page had shown it",
    "LOWER_SCORE": "others had higher scores",
    "PLACES": "its place was given away by a rule",
    "NOT_OF_THE_SHUFFLE": "the shuffle put others first",
    "NOT_STARTED": "it had not begun",
    "EXPIRED": "it was over",
    "CLOSED": "it was closed at that hour",
    "TAG": "the surface leaves out such tags, or wants others",
    "CATEGORY": "the surface leaves out its category, or wants others",
    "EXCLUDED": "the surface leaves it out",
}
_UNKNOWN = "out of reach, seen, paused by a cap, or not what was asked for"


def tell_decision(told: DecisionTold) -> None:
    """The decision, then item by item."""
    said, outcome, begun = told.record.circumstances, told.record.outcome, told.record.beginnings
    moment = datetime.fromtimestamp(said.decided_at, UTC).isoformat(timespec="milliseconds")
    click.echo(f"{said.request_id} of {moment}, logged because of {said.reason}")
    click.echo(
        f"Feed {outcome.feed} (propensity {outcome.propensity:.6g}), {len(outcome.postings)} of"
        f" {said.eligible} candidates, looked for within {distance(said.radius_used_m)}"
        + (f", {said.capped} more paused under caps" if said.capped else "")
    )
    click.echo(
        f"Scenario {said.scenario}"
        + (f", segment {said.segment}" if said.segment else "")
        + f", policy revision {said.policy_revision}, epoch {said.policy_epoch}"
        + (f", priors of fit {begun.fit}" if begun is not None and begun.fit else "")
        + f", by {said.build}"
    )
    again = told.replayed
    click.echo(
        f"Made again: {again.status.replace('_', ' ')}" + (f" ({again.message})" if again.message else "")
    )
    for item in told.items:
        _tell_item(item)


def _tell_item(item: ItemTold) -> None:
    click.echo(f"\n{item.item_id}{f' (posting {item.posting})' if item.posting else ''}: {_fate(item)}")
    if item.kinds:
        print_table(
            (
                "kind",
                ">weight",
                ">exposure",
                ">success",
                ">prior",
                "from",
                ">a",
                ">b",
                ">draw",
            ),
            [_kind_row(kind) for kind in item.kinds],
        )
    if item.multiplied is not None:
        _tell_factors(item.multiplied)
    if "PLACES" in item.causes and not item.moves:
        click.echo("Several rules keep it out: without one of them it would not be in the answer either.")
    for move in item.moves:
        click.echo(_moved(move))
    if item.chances:
        click.echo(_chances(item.chances, item.rank))
    if item.is_changed:
        click.echo("It has changed or ended since: what it was like then is not known.")


def _fate(item: ItemTold) -> str:
    parts = {
        "SHOWN": [f"#{item.rank}"],
        "NOT_CHOSEN": ["a candidate, and others were chosen"],
        "LEFT_OUT": ["no candidate"],
        "NOT_FOUND": ["there is no such item"],
    }[item.standing]
    if item.causes:
        parts[0] += ": " + ", ".join(f"{_CAUSES[cause]} ({cause})" for cause in item.causes)
    elif item.standing == "LEFT_OUT":
        parts[0] += f": {_UNKNOWN}; the record cannot tell, `recommend --explain-item` can"
    if item.score is not None:
        parts.append(f"score {item.score:.4g}")
    if item.drawn_rank and item.drawn_rank != item.rank:
        parts.append(f"drawn as #{item.drawn_rank}")
    if item.multiplied is not None and item.multiplied.distance_m is not None:
        parts.append(f"{distance(item.multiplied.distance_m)} away")
    if item.is_new:
        parts.append("new")
    return ", ".join(parts)


def _kind_row(kind: KindTold) -> tuple[str, ...]:
    begun = kind.begun
    return (
        kind.kind,
        f"{kind.weight:g}",
        "" if begun is None else _exposure(begun),
        "" if begun is None else _amount(begun.success),
        "" if begun is None else f"{begun.beginning.mean:.4g} of {begun.beginning.strength:.4g}",
        "" if begun is None else begun.beginning.level,
        _amount(kind.a),
        _amount(kind.b),
        f"{kind.draw:.4f}",
    )


def _exposure(begun: Begun) -> str:
    return f"<= {_amount(begun.success)}" if begun.exposure is None else _amount(begun.exposure)


def _amount(number: float) -> str:
    """A table is to fit a narrow terminal."""
    return f"{number:.2f}" if number < _WITHOUT_DECIMALS else f"{number:.0f}"


def _tell_factors(multiplied: Multiplied) -> None:
    parts = [f"{part.rule} {part.name}".strip() + f" {part.factor:.4g}" for part in multiplied.parts]
    if multiplied.unnamed != 1:
        parts.append(f"{multiplied.unnamed:.4g} by rules that cannot be told any more")
    if parts:
        click.echo(f"Score times {multiplied.factor:.4g}: {', '.join(parts)}")


def _moved(move: Move) -> str:
    where = f"it would be #{move.rank_without}" if move.rank_without else "it would not be in the answer"
    return f"Without {_RULES[move.rule]} {where}"


def _chances(chances: Sequence[float], rank: int) -> str:
    first = ", ".join(map(_chance, chances[:_MOST_PLACES_SHOWN]))
    here = f"; at its own {_chance(chances[rank - 1])}" if rank > _MOST_PLACES_SHOWN else ""
    return f"Chance at the first places: {first}{here}; anywhere in the answer {_chance(sum(chances))}"


def _chance(chance: float) -> str:
    """Below, it is an error of the integral."""
    return f"{chance:.3g}" if chance >= _LEAST_CHANCE or not chance else f"<{_LEAST_CHANCE:g}"

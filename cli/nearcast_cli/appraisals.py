"""Why items stand where they stand, or are not there, in words."""

from collections.abc import Iterable

import click

from nearcast.v1.recommend_pb2 import ExplainedItem, ItemExplanation
from nearcast_cli.printing import distance, print_table

_STANDINGS = {
    ExplainedItem.STANDING_NOT_CHOSEN: "a candidate, and others were chosen",
    ExplainedItem.STANDING_LEFT_OUT: "no candidate",
    ExplainedItem.STANDING_NOT_FOUND: "there is no such item",
}


def tell_explanation(title: str, explanation: ItemExplanation) -> None:
    """What is known of an item, kind by kind."""
    shown = f"shown {explanation.impressions} times" + (", new" if explanation.is_new else "")
    if explanation.drawn_rank:
        shown += f", drawn as #{explanation.drawn_rank}"
    click.echo(f"\n{title}, {shown}")
    print_table(
        ("kind", ">weight", ">exposure", ">success", ">prior", ">posterior a", ">b", ">draw"),
        [
            (
                kind.kind,
                f"{kind.weight:g}",
                f"{kind.exposure:.2f}",
                f"{kind.success:.2f}",
                f"{kind.prior_mean:g} of {kind.prior_strength:g}",
                f"{kind.posterior_a:.2f}",
                f"{kind.posterior_b:.2f}",
                f"{kind.draw:.4f}",
            )
            for kind in explanation.kinds
        ],
    )
    _tell_factors(explanation)


def _tell_factors(explanation: ItemExplanation) -> None:
    parts = [f"{part.rule} {part.name}".strip() + f" {part.factor:.4g}" for part in explanation.factors]
    if parts:
        click.echo(f"Score times {explanation.factor:.4g}: {', '.join(parts)}")


def tell_of_items(items: Iterable[ExplainedItem]) -> None:
    """What became of each that was asked about."""
    for item in items:
        if item.HasField("explanation"):
            tell_explanation(_fate(item), item.explanation)
        else:
            click.echo(f"\n{_fate(item)}")


def _fate(item: ExplainedItem) -> str:
    told = _STANDINGS.get(item.standing, f"#{item.rank} of the slate")
    if item.causes:
        names = [ExplainedItem.Cause.Name(cause) for cause in item.causes]
        told += ": " + ", ".join(name.removeprefix("CAUSE_") for name in names)
    if item.HasField("distance_m"):
        told += f"; {distance(item.distance_m)} away, score {item.score:.4g}"
    return f"{item.item_id}: {told}"

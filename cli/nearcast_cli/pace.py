"""--hurry and --asks-per-s: how fast a live town lives, so that a test need not wait for real minutes."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from nearcast_cli.finiterange import FiniteRange

if TYPE_CHECKING:
    from nearcast_town.simulate import LivePace

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
POSITIVE = FiniteRange(min=0, min_open=True)


def pace_options(command: Decorated) -> Decorated:
    """Both handed to the command as one `pace`; they are in no help."""

    @wraps(command)
    def with_pace(*, hurry: float, asks_per_s: float, **others: Any) -> Any:
        from nearcast_town.simulate import LivePace

        return command(pace=LivePace(asks_per_s=asks_per_s, hurry=hurry), **others)

    decorated = click.option("--hurry", type=POSITIVE, default=1.0, hidden=True)(with_pace)
    decorated = click.option("--asks-per-s", type=POSITIVE, default=40.0, hidden=True)(decorated)
    return cast("Decorated", decorated)


def pace_arguments(pace: "LivePace") -> tuple[str, ...]:
    """The options that give this pace again."""
    return (f"--hurry={pace.hurry!r}", f"--asks-per-s={pace.asks_per_s!r}")

"""--town-at LAT,LON: where the simulated town stands."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from nearcast_geo.point import Point

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Place(click.ParamType["Point"]):
    """Two numbers with a comma."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Point":
        """The point, normalised."""
        from nearcast_geo.point import Point, PointError, normalise

        if isinstance(value, Point):
            return value
        try:
            lat, lon = (float(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not LAT,LON; write for example 59.91,10.75", param, ctx)
        try:
            return normalise(lat, lon)
        except PointError as error:
            self.fail(str(error), param, ctx)


def town_option(command: Decorated) -> Decorated:
    """Where the town stands; Oslo unless told otherwise."""
    return click.option(
        "--town-at",
        type=Place(),
        default="59.91,10.75",
        show_default=True,
        metavar="LAT,LON",
        help="Where the simulated town stands.",
    )(command)

"""What recommend and nearby have in common: the place, the filters, and a person."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from nearcast_cli.coordinates import Degrees

if TYPE_CHECKING:
    from nearcast.v1.item_pb2 import Item
    from nearcast.v1.person_pb2 import Person
    from nearcast.v1.recommend_pb2 import Filter

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

_FILTERS = (
    ("tag", "tags_any", "Only items with this tag (repeat: any of them)."),
    ("tag-all", "tags_all", "Only items with all of these tags."),
    ("tag-none", "tags_none", "No item with this tag."),
    ("category", "categories", "Only items of this category (repeat: any of them)."),
    ("exclude", "exclude_item_ids", "Not this item."),
)


def place_options(command: Decorated) -> Decorated:
    """LAT LON, how far, how many, which."""
    command = click.option("--page-token", default="", metavar="TOKEN", help="Go on after an answer.")(
        command
    )
    for option, name, meaning in reversed(_FILTERS):
        command = click.option(f"--{option}", name, multiple=True, metavar="TEXT", help=meaning)(command)
    command = click.option(
        "--polygon",
        type=click.File("r", encoding="utf-8"),
        metavar="FILE",
        help="Only items within this GeoJSON Polygon or MultiPolygon, and within the radius.",
    )(command)
    command = click.option("--market", default="", metavar="ID", help="Only items in this market.")(command)
    command = click.option("--limit", type=int, default=0, metavar="N", help="How many; 0 = the policy's.")(
        command
    )
    command = click.option(
        "--radius-m", type=float, metavar="N", help="How far, in metres; unset = the policy's."
    )(command)
    command = click.argument("longitude", type=Degrees(), metavar="LON")(command)
    return click.argument("latitude", type=Degrees(), metavar="LAT")(command)


def person_options(command: Decorated) -> Decorated:
    """--user or --anonymous, handed to the command as one `person`, None when nobody is named."""

    @wraps(command)
    def with_person(*, user: str | None, anonymous: str | None, **others: Any) -> Any:
        return command(person=_to_person(user, anonymous), **others)

    decorated = click.option("--anonymous", metavar="ID", help="Who: a device or guest.")(with_person)
    return cast("Decorated", click.option("--user", metavar="ID", help="Who: a registered user.")(decorated))


def _to_person(user: str | None, anonymous: str | None) -> "Person | None":
    from nearcast.v1.person_pb2 import Person

    if user is not None and anonymous is not None:
        raise click.UsageError("--user and --anonymous name two people; give one of them")
    if user is not None:
        return Person(user_id=user)
    return None if anonymous is None else Person(anonymous_id=anonymous)


def take_filter(options: dict[str, Any]) -> "Filter":
    """The filter of the options, which are taken out."""
    from nearcast.v1.recommend_pb2 import Filter

    given: dict[str, Sequence[str]] = {name: options.pop(name) for _, name, _ in _FILTERS}
    polygon = options.pop("polygon")
    return Filter(**given, market=options.pop("market"), polygon=polygon.read() if polygon else "")


def title_of(item: "Item", item_id: str) -> str:
    """What people call it."""
    return item.title or item_id

"""LAT LON on the command line, where -33.9 is a number and not an option."""

import re
from typing import Any

import click

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)


class Degrees(click.ParamType[float]):
    """A coordinate; whether it is on the earth is the server's to say, with a reason."""

    name = "degrees"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The number, or what is wrong with the text."""
        if isinstance(value, float):
            return value
        text = str(value).rstrip(",")  # 59.91, 10.75 as maps copy it
        if _NUMBER.fullmatch(text):
            return float(text)
        if text.startswith("-"):
            raise _no_such_option(text, ctx)
        message = f"{text!r} is no number of degrees; write for example 59.91 10.75"
        raise click.BadParameter(message, ctx, param)


class PlaceCommand(click.Command):
    """A command with coordinates: what looks like an option and is no number is still refused by name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ignore_unknown_options = True
        self.allow_extra_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As any command does, then judge what was left over."""
        rest = super().parse_args(ctx, args)
        if rest and not ctx.resilient_parsing:
            if rest[0].startswith("-") and not _NUMBER.fullmatch(rest[0]):
                raise _no_such_option(rest[0], ctx)
            raise click.UsageError(f"Got unexpected extra argument ({rest[0]})", ctx)
        return rest


def _no_such_option(text: str, ctx: click.Context | None) -> click.NoSuchOption:
    name = text.split("=", 1)[0]
    options = [] if ctx is None else [opt for param in ctx.command.params for opt in param.opts]
    near = [option for option in options if option.startswith(name) or name.startswith(option)]
    return click.NoSuchOption(name, possibilities=near or None, ctx=ctx)

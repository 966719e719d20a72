"""Numbers of options: "nan" and "inf" are numbers to Python, and pass for within any range."""

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A range of numbers that can be reckoned with."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """As its parent; what is not finite is misunderstood."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number

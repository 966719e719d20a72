"""On which side of a line a point lies: where rounding could decide, it is told from twice the digits."""

from nearcast_compiling.native import compiled

# Beyond what rounding can do to a difference of two products, as a share of their sum.
_SAFE = 1e-15
_SPLIT = 134_217_729.0


@compiled
def side_of(x1: float, y1: float, x2: float, y2: float, x: float, y: float) -> float:
    """Above 0 to the left of whoever goes from the first point to the second, below 0 to the right, or 0."""
    left, right = (x1 - x) * (y2 - y), (y1 - y) * (x2 - x)
    apart = left - right
    if abs(apart) > _SAFE * (abs(left) + abs(right)):
        return apart
    high, low = _product(*_difference(x2, x1), *_difference(y, y2))
    other_high, other_low = _product(*_difference(y2, y1), *_difference(x, x2))
    apart, rest = _difference(high, other_high)
    return apart + (rest + (low - other_low))


@compiled
def _difference(one: float, other: float) -> tuple[float, float]:
    """Rounded, and what was rounded off."""
    apart = one - other
    back = one - apart
    return apart, (one - (apart + back)) + (back - other)


@compiled
def _product(high: float, low: float, other_high: float, other_low: float) -> tuple[float, float]:
    """Of two numbers in two parts each, in two parts."""
    rounded = high * other_high
    one, other = _upper(high), _upper(other_high)
    one_rest, other_rest = high - one, other_high - other
    rest = ((one * other - rounded) + one * other_rest + one_rest * other) + one_rest * other_rest
    rest += high * other_low + low * other_high
    whole = rounded + rest
    return whole, rest - (whole - rounded)


@compiled
def _upper(value: float) -> float:
    """The upper half of the digits."""
    wide = _SPLIT * value
    return wide - (wide - value)

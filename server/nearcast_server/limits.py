"""How many and how far: what the query asks, what the policy allows."""

import math

from nearcast_server.errors import InvalidRequestError

DEFAULT_PAGE_SIZE = 100
MOST_PAGE_SIZE = 1000


def limit_of(asked: int, default: int, most: int) -> int:
    """How many items; 0 follows the policy, more than it allows is read as the most it allows."""
    if asked < 0:
        raise InvalidRequestError.of(
            "limit",
            "LIMIT_OUT_OF_RANGE",
            f"must not be negative, got {asked}; 0 asks for the default",
            max=str(most),
        )
    return min(asked or default, most)


def page_size_of(asked: int) -> int:
    """How many entries a page of the catalogue holds; 0 asks for the default."""
    if asked < 0:
        raise InvalidRequestError.of(
            "page_size",
            "PAGE_SIZE_OUT_OF_RANGE",
            f"must not be negative, got {asked}",
            max=str(MOST_PAGE_SIZE),
        )
    return min(asked or DEFAULT_PAGE_SIZE, MOST_PAGE_SIZE)


def radius_of(asked: float | None, default: float, most: float) -> float:
    """How far in metres; None follows the policy."""
    if asked is None:
        return default
    if not math.isfinite(asked) or not 0 < asked <= most:
        raise InvalidRequestError.of(
            "radius_m",
            "RADIUS_OUT_OF_RANGE",
            f"must be above 0 and at most {most:g} metres, got {asked:g}; leave it unset for {default:g}",
            max=f"{most:g}",
        )
    return asked

"""What scores are multiplied with, in the numbers of a segment; and the products, by numpy."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearcast_bandit.factors import MOST_HALVINGS, Boost, Factors
from nearcast_replica.dictionaries import Dictionaries
from nearcast_replica.layout import Segment
from nearcast_replica.lookup import owner_hash

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Boosts:
    """A factor for every category by number, and one for each of some tags and owners."""

    categories: Floats
    tags: NDArray[np.uint32]
    tag_factors: Floats
    owners: NDArray[np.uint64]
    owner_factors: Floats


def boosts_of(factors: Factors, dictionaries: Dictionaries, now: float) -> Boosts:
    """The same boosts are asked for again and again: what they come to is remembered."""
    memo, boosts = dictionaries.memo_at(now), factors.boosts
    # What is remembered holds the boosts, so that no others have their id.
    known: tuple[tuple[Boost, ...], Boosts] | None = memo.get(("boosts", id(boosts)))
    if known is None:
        known = memo["boosts", id(boosts)] = (boosts, _boosts(boosts, dictionaries))
    return known[1]


def products(
    segment: Segment, boosts: Boosts, factors: Factors, slots: Integers, distances_m: Floats
) -> Floats:
    """What the score of each slot is multiplied with."""
    numbers = segment["category"][slots].astype(np.int64)
    known = numbers < boosts.categories.size
    found: Floats = np.where(known, boosts.categories[np.where(known, numbers, 0)], 1.0)
    for tag, factor in zip(boosts.tags.tolist(), boosts.tag_factors.tolist(), strict=True):
        found[_tagged(segment, slots, tag)] *= factor
    for owner, factor in zip(boosts.owners.tolist(), boosts.owner_factors.tolist(), strict=True):
        found[segment["owner"][slots] == owner] *= factor
    if factors.distance_half_m > 0:
        found *= np.exp2(-np.minimum(distances_m / factors.distance_half_m, MOST_HALVINGS))
    if factors.faded:
        found[np.isin(segment["posting"][slots], list(factors.faded))] *= factors.seen_share
    return found


def _tagged(segment: Segment, slots: Integers, tag: int) -> NDArray[np.bool_]:
    pool, refs = segment["tag_pool"], segment["tag_ref"][slots].astype(np.int64)
    counts = pool[refs].astype(np.int64)
    found = np.zeros(slots.size, np.bool_)
    for place in range(1, int(counts.max(initial=0)) + 1):
        held = counts >= place
        found[held] |= pool[refs[held] + place] == tag
    return found


def _boosts(boosts: Sequence[Boost], dictionaries: Dictionaries) -> Boosts:
    """Names nobody has move nothing."""
    categories = np.ones(max(len(dictionaries.categories), 1))
    tags, owners = dict[int, float](), dict[int, float]()
    for boost in boosts:
        match boost.rule:
            case "category":
                number = dictionaries.categories.find(boost.name)
                if number is not None:
                    categories[number] *= boost.factor
            case "tag":
                number = dictionaries.tags.find(boost.name)
                if number is not None:
                    tags[number] = tags.get(number, 1.0) * boost.factor
            case "owner":
                hashed = owner_hash(boost.name)
                owners[hashed] = owners.get(hashed, 1.0) * boost.factor
    return Boosts(
        categories,
        _array(tags, np.uint32),
        np.array(list(tags.values()), np.float64),
        _array(owners, np.uint64),
        np.array(list(owners.values()), np.float64),
    )


def _array(numbers: dict[int, float], dtype: type[Any]) -> NDArray[Any]:
    return np.array(list(numbers), dtype)

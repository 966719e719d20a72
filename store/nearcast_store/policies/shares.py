"""The feed probabilities of an epoch as JSON, and back: every float exactly."""

from collections.abc import Mapping

import msgspec

Shares = Mapping[int, Mapping[tuple[int, ...], Mapping[int, float]]]
_Plain = dict[int, list[tuple[tuple[int, ...], dict[int, float]]]]

_decode = msgspec.json.Decoder(_Plain).decode


def shares_to_json(shares: Shares) -> str:
    """JSON has no tuples for keys: pairs of eligible feeds and their shares instead."""
    plain = {market: list(by_eligible.items()) for market, by_eligible in shares.items()}
    return msgspec.json.encode(plain).decode()


def shares_from_json(text: str) -> Shares:
    """What `shares_to_json` wrote."""
    return {market: dict(pairs) for market, pairs in _decode(text).items()}

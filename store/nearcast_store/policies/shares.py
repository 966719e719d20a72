"""The feed probabilities of an epoch as JSON, and back: every float exactly."""

from collections.abc import Mapping

import msgspec

from nearcast_store.policies.protocol import Shares

_Plain = dict[int, list[tuple[tuple[int, ...], dict[int, float]]]]

_decode = msgspec.json.Decoder(_Plain).decode
_decode_segments = msgspec.json.Decoder(dict[int, _Plain]).decode
_decode_items = msgspec.json.Decoder(dict[int, int]).decode


def shares_to_json(shares: Shares) -> str:
    """JSON has no tuples for keys: pairs of eligible feeds and their shares instead."""
    return msgspec.json.encode(_plain(shares)).decode()


def shares_from_json(text: str) -> Shares:
    """What `shares_to_json` wrote."""
    return _shares(_decode(text))


def segments_to_json(segments: Mapping[int, Shares]) -> str:
    """The shares of every segment."""
    return msgspec.json.encode({segment: _plain(shares) for segment, shares in segments.items()}).decode()


def segments_from_json(text: str) -> dict[int, Shares]:
    """What `segments_to_json` wrote."""
    return {segment: _shares(plain) for segment, plain in _decode_segments(text).items()}


def items_to_json(items: Mapping[int, int]) -> str:
    """How many items each market holds."""
    return msgspec.json.encode(dict(items)).decode()


def items_from_json(text: str) -> dict[int, int]:
    """What `items_to_json` wrote."""
    return _decode_items(text)


def _plain(shares: Shares) -> _Plain:
    return {
        market: [(eligible, dict(by_feed)) for eligible, by_feed in by_eligible.items()]
        for market, by_eligible in shares.items()
    }


def _shares(plain: _Plain) -> Shares:
    return {market: dict(pairs) for market, pairs in plain.items()}

"""What a file says of markets."""

import json
from typing import Any

import pytest

from nearcast.v1.market_pb2 import Market
from nearcast_cli import marketfile
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.marketfile import batches, read_markets, to_feature
from tests.geojsons import box

SQUARE = json.loads(box(0.0, 0.0, 1.0, 1.0))


def file(*features: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": features}).encode()


def feature(**properties: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": SQUARE}


def test_a_feature_is_a_market() -> None:
    (market,) = read_markets(file(feature(market_id="oslo", display_name="Oslo", priority=-2, disabled=True)))
    assert (market.market_id, market.display_name, market.priority, market.disabled) == (
        "oslo",
        "Oslo",
        -2,
        True,
    )
    assert json.loads(market.geometry) == SQUARE


def test_other_spellings_of_id_and_name_are_read() -> None:
    plain = {"type": "Feature", "id": 7, "properties": {"name": "Sju"}, "geometry": SQUARE}
    bare = {"type": "Feature", "id": "b", "properties": None, "geometry": SQUARE}
    markets = read_markets(file(plain, bare))
    assert [(market.market_id, market.display_name) for market in markets] == [("7", "Sju"), ("b", "")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no FeatureCollection"),
        (json.dumps(SQUARE).encode(), "no FeatureCollection"),
        (file(), "has no features"),
        (file(feature()), r"features\[0\] has no market_id"),
        (file(feature(market_id="a"), {"type": "Feature", "id": "b"}), r"features\[1\] has no geometry"),
        (file(7), r"features\[0\] has no geometry"),
        (file({"properties": [1], "geometry": SQUARE}), r"features\[0\]\.properties is no object"),
        (file(feature(market_id="a", priority="high")), "priority must be a whole number"),
        (file(feature(market_id="a", priority=2**40)), "priority must be a whole number"),
        (file(feature(market_id="a", disabled="no")), "disabled true or false"),
    ],
)
def test_a_file_that_is_none_is_told_which_feature_is_wrong(text: bytes, told: str) -> None:
    with pytest.raises(CommandFailedError, match=told) as failed:
        read_markets(text)
    assert failed.value.reason == "FILE_UNREADABLE"


def test_what_is_exported_is_read_again() -> None:
    said = file(feature(market_id="a"), feature(market_id="b", display_name="B", priority=3, disabled=True))
    markets = read_markets(said)
    assert read_markets(file(*map(to_feature, markets))) == markets


def test_batches_are_bounded_by_count_and_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    markets = [Market(market_id=str(number), geometry="x" * 300) for number in range(250)]
    assert [len(batch) for batch in batches(markets)] == [100, 100, 50]
    monkeypatch.setattr(marketfile, "MOST_BATCH_BYTES", 1000)
    assert [len(batch) for batch in batches(markets[:7])] == [3, 3, 1]

"""Markets out of a GeoJSON FeatureCollection: one for each feature."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from nearcast.v1.market_pb2 import Market
from nearcast_cli.failure import CommandFailedError

# The server takes 1 MiB a call; what is around the markets needs little.
MOST_BATCH_BYTES = 900_000
MOST_BATCH_MARKETS = 100
_SHAPES = "a GeoJSON FeatureCollection whose features have a geometry and a market_id"


def read_markets(text: bytes) -> list[Market]:
    """Every feature as a market; the server looks at geometries. Raises CommandFailedError."""
    try:
        collection = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(f"the file is no JSON: {error}") from error
    features = collection.get("features") if isinstance(collection, dict) else None
    if not isinstance(features, list) or collection.get("type") != "FeatureCollection":
        raise _unreadable("the file is no FeatureCollection")
    if not features:
        raise _unreadable("the file has no features")
    return [_market(place, feature) for place, feature in enumerate(features)]


def batches(markets: Iterable[Market]) -> Iterator[list[Market]]:
    """As many as one call takes, by count and by size."""
    batch: list[Market] = []
    size = 0
    for market in markets:
        market_size = market.ByteSize()
        if batch and (len(batch) == MOST_BATCH_MARKETS or size + market_size > MOST_BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(market)
        size += market_size
    if batch:
        yield batch


def to_feature(market: Market) -> Mapping[str, object]:
    """The feature of a market, as `read_markets` takes it."""
    properties: dict[str, object] = {"market_id": market.market_id}
    if market.display_name:
        properties["display_name"] = market.display_name
    if market.priority:
        properties["priority"] = market.priority
    if market.disabled:
        properties["disabled"] = True
    return {"type": "Feature", "properties": properties, "geometry": json.loads(market.geometry)}


def _market(place: int, feature: Any) -> Market:
    if not isinstance(feature, dict) or not isinstance(feature.get("geometry"), dict):
        raise _unreadable(f"features[{place}] has no geometry")
    properties = feature.get("properties") or {}
    if not isinstance(properties, dict):
        raise _unreadable(f"features[{place}].properties is no object")
    market_id = _first((properties.get("market_id"), feature.get("id")))
    if market_id is None:
        raise _unreadable(f"features[{place}] has no market_id among its properties, and no id")
    name = _first((properties.get("display_name"), properties.get("name")))
    try:
        return Market(
            market_id=str(market_id),
            display_name="" if name is None else str(name),
            geometry=json.dumps(feature["geometry"], ensure_ascii=False, separators=(",", ":")),
            priority=properties.get("priority", 0),
            disabled=properties.get("disabled", False),
        )
    except (TypeError, ValueError) as error:
        raise _unreadable(
            f"features[{place}].properties: priority must be a whole number, disabled true or false: {error}"
        ) from error


def _first(values: Sequence[object]) -> object:
    return next((value for value in values if value is not None), None)


def _unreadable(message: str) -> CommandFailedError:
    return CommandFailedError(message, reason="FILE_UNREADABLE", advice=f"Give {_SHAPES}.")

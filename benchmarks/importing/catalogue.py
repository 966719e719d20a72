"""A catalogue in a file, by seed: offers around a hundred towns, most of them in few."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np

from benchmarks.cities import make_cities

TOWNS = 100
BOUNDS = (-9.0, 36.0, 25.0, 60.0)
CATEGORIES = ("cafe", "museum", "delivery", "concert", "job", "market")
WORDS = ("warm", "small", "late", "green", "old", "open", "quiet", "new", "north", "little")


def write_catalogue(path: Path, count: int, seed: int) -> int:
    """One item per line; how many bytes."""
    with path.open("w", encoding="utf-8") as out:
        out.writelines(f"{json.dumps(item, separators=(',', ':'))}\n" for item in _items(count, seed))
    return path.stat().st_size


def _items(count: int, seed: int) -> Iterator[dict[str, object]]:
    random, rng = Random(seed), np.random.default_rng(seed)
    lats, lons = make_cities(rng, TOWNS, BOUNDS).places(rng, count)
    for number, (latitude, longitude) in enumerate(zip(lats.tolist(), lons.tolist(), strict=True)):
        yield {
            "item_id": f"offer-{number}",
            "title": f"{' '.join(random.choices(WORDS, k=3))} {number}",
            "category": random.choice(CATEGORIES),
            "owner": f"owner-{random.randrange(5_000)}",
            "url": f"https://example.com/offers/{number}",
            "locations": [
                {"latitude": round(latitude, 6), "longitude": round(longitude, 6)},
            ],
            "tags": [{"name": name} for name in sorted(set(random.choices(WORDS, k=2)))],
            "attributes": {"price": str(random.randrange(5, 500))},
        }

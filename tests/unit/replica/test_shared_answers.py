"""What is answered from a segment that its writer fills, changes and merges is what brute force says."""

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from nearcast_catalogue.eligibility import Filter
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting
from nearcast_geo.point import Point
from nearcast_replica.changes import Applied, SegmentChange
from nearcast_replica.files import Files
from nearcast_replica.query import Mode, Order, Query
from nearcast_replica.reading import ReplicaReader
from nearcast_replica.sizing import Reserve
from nearcast_replica.writing import SegmentWriter
from tests.conftest import FixedClock
from tests.unit.replica.test_answers import ANSWERERS, check, on_an_edge
from tests.unit.replica.worlds import CATEGORIES, CENTERS, HOURS, KINDS, NOW, TAGS, World, beside, brute_force

BUILD = "test"
WANTED = (Filter(), Filter(categories=frozenset({"food", "jobs"})), Filter(tags_any=frozenset(TAGS[:20])))


def random_item(rng: np.random.Generator, center: Point, number: int) -> ServedItem:
    """Around the centre, sometimes in several places, sometimes far away."""
    spread_m = 4_000.0 if rng.random() < 0.9 else 400_000.0
    places = [
        beside(center, *rng.normal(0.0, spread_m, 2).tolist()) for _ in range(int(rng.choice([1, 1, 3])))
    ]
    item = Item(
        ItemId(f"item {number * 37 % 1009}"),
        tuple(Place(place.latitude, place.longitude) for place in places),
        reach_m=float(rng.choice([900.0, 7000.0, 300_000.0])) if rng.random() < 0.3 else None,
        tags=tuple(Tag(name) for name in rng.choice(TAGS, 3, replace=False).tolist()),
        category=str(rng.choice(CATEGORIES)),
        expires_at=NOW + float(rng.normal(5e4, 1e5)) if rng.random() < 0.5 else None,
        hours=HOURS[int(rng.integers(0, len(HOURS)))],
    )
    return ServedItem(Posting(number), 1, float(rng.uniform(0, NOW)), item, int(rng.integers(0, 3)))


def random_query(rng: np.random.Generator, center: Point) -> Query:
    here = beside(center, *rng.normal(0.0, 3_000.0, 2).tolist())
    return Query(
        center=Point(here.latitude, here.longitude),
        radii_m=[[2_000.0, 5_000.0, 20_000.0], [6_000.0]][int(rng.integers(0, 2))],
        enough=int(rng.integers(1, 40)),
        most=int(rng.choice([20, 1000])),
        now=NOW,
        order=Order([Mode.LISTED, Mode.NEAREST, Mode.NEWEST][int(rng.integers(0, 3))]),
        limit=10,
        wanted=WANTED[int(rng.integers(0, len(WANTED)))],
    )


@pytest.mark.parametrize("name", ANSWERERS)
@pytest.mark.parametrize("seed", range(len(CENTERS)))
def test_a_shared_segment_answers_as_brute_force_does(tmp_path: Path, name: str, seed: int) -> None:
    rng, center, sequences = np.random.default_rng(seed), CENTERS[seed], count(1)
    files = Files(tmp_path, tmp_path, "test", 1)
    writer = SegmentWriter(files, BUILD, KINDS, FixedClock(), Reserve(slots=500))
    reader = ReplicaReader(files, BUILD)
    living = {number: random_item(rng, center, number) for number in range(1, 120)}
    filling = writer.begin_filling()
    filling.add(list(living.values()), [b"message"] * len(living))
    writer.adopt(filling.finish(0))
    asked = 0
    for turn in range(8):
        changes = []
        for number in rng.integers(1, 160, 25).tolist():
            living.pop(number, None)
            if rng.random() < 0.8:
                living[number] = random_item(rng, center, number)
            changes.append(SegmentChange(next(sequences), number, living.get(number), b"message"))
        assert writer.apply(changes) == Applied(changes[-1].sequence)
        if turn % 3 == 2:
            writer.merge()
        reader.refresh()
        pinned = reader.pin()
        assert pinned is not None
        world = World(list(living.values()), pinned.dictionaries, pinned.segment)
        for query in [random_query(rng, center) for _ in range(6)]:
            if not on_an_edge(world, query):
                check(
                    ANSWERERS[name].answer(pinned.segment, pinned.dictionaries, query),
                    brute_force(world, query),
                )
                asked += 1
    assert asked > 20
    writer.close()

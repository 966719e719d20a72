"""A simulation keeps its policy as a real system would."""

import msgspec
import pytest

from nearcast_cli.inprocess import InProcess
from nearcast_config.policy import Exploration, Feed, Policy, Priors, Scenario
from nearcast_geo.point import Point
from nearcast_town.backend import Ask, Person, TownEvent, TownItem

START_S = 1_790_000_000.0
HERE = Point(59.91, 10.75)
ANN = Person("ann", registered=True)


def thing(name: str, category: str) -> TownItem:
    return TownItem(name, HERE, name, category, (), "")


@pytest.mark.parametrize(("mode", "first"), [("fixed", "new-dull"), ("learned", "new-liked")])
async def test_new_items_of_a_category_that_is_liked_come_first_where_priors_are_learned(
    mode: str, first: str
) -> None:
    policy = msgspec.structs.replace(
        Policy(),
        priors=Priors(mode=mode, fit_every_hours=0.5),  # type: ignore[arg-type]
        exploration=Exploration(share=0.0),
        feeds={"best": Feed(order="most", kind="view")},
    )
    backend = InProcess(policy, START_S, seed=7)
    await backend.open()
    await backend.put_items([thing(f"{kind}-{n}", kind) for kind in ("liked", "dull") for n in range(4)])
    for visit in range(8):
        slate = await backend.recommend(Ask(HERE, 5000.0, ANN, f"visit-{visit}", 20))
        events = [TownEvent("impression", entry.token, ANN) for entry in slate.items]
        events += [
            TownEvent("view", entry.token, ANN) for entry in slate.items if entry.item_id.startswith("liked")
        ]
        await backend.record(events)
    for hour in range(1, 5):
        await backend.advance(START_S + 3600.0 * hour)
    await backend.put_items([thing("new-dull", "dull"), thing("new-liked", "liked")])
    slate = await backend.recommend(Ask(HERE, 5000.0, ANN, "last visit", 20))
    new = [entry.item_id for entry in slate.items if entry.item_id.startswith("new")]
    assert len(new) == 2
    assert new[0] == first


async def test_a_surface_that_leaves_out_what_was_seen_does_so() -> None:
    scenarios = {"default": Scenario(), "fresh": Scenario(exclude_seen=True)}
    backend = InProcess(
        msgspec.structs.replace(Policy(), scenarios=scenarios), START_S, seed=7, scenario="fresh"
    )
    await backend.open()
    await backend.put_items([thing(f"thing-{number}", "thing") for number in range(30)])
    first = await backend.recommend(Ask(HERE, 5000.0, ANN, "visit-1", 10))
    await backend.record([TownEvent("impression", entry.token, ANN) for entry in first.items])
    await backend.advance(START_S + 120.0)
    second = await backend.recommend(Ask(HERE, 5000.0, ANN, "visit-2", 30))
    shown = {entry.item_id for entry in first.items}
    assert len(shown) == 10
    assert {entry.item_id for entry in second.items}.isdisjoint(shown)
    assert len(second.items) == 20


async def test_beliefs_are_those_of_the_last_refresh() -> None:
    backend = InProcess(Policy(), START_S, seed=7)
    await backend.open()
    await backend.put_items([thing("liked", "thing"), thing("other", "thing")])
    slate = await backend.recommend(Ask(HERE, 5000.0, ANN, "visit-1", 10))
    events = [TownEvent("impression", entry.token, ANN) for entry in slate.items]
    events += [TownEvent("view", entry.token, ANN) for entry in slate.items if entry.item_id == "liked"]
    await backend.record(events)
    await backend.advance(START_S + 120.0)
    beliefs = backend.beliefs(["other", "liked"])
    row = beliefs.kinds.index("view")
    assert beliefs.successes[row].tolist() == pytest.approx([0.0, 1.0], abs=1e-3)
    assert beliefs.exposures[row].tolist() == pytest.approx([1.0, 1.0], abs=1e-3)

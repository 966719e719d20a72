"""What each order goes by, and that whatever is registered can be asked, answered and made again."""

from random import Random

import msgspec
import pytest

from nearcast_bandit.record import Ordering
from nearcast_config.orders.registry import ORDERS
from nearcast_config.orders.ways import way_of
from nearcast_config.policy import Feed, Kind, Policy
from nearcast_config.policytext import load_policy_text, policy_to_toml
from nearcast_ledger.kinds import APPLY, IMPRESSION, SAVE, VIEW
from nearcast_server.answering import order_of
from nearcast_server.finding import ByFeed
from tests.unit.server.scene import Scene, ids_of, make_count, make_view, only_feed, town

FEEDS = {name: Feed(order=name, kind="apply" if order.names_kind else "") for name, order in ORDERS.items()}


def scene_of(order: str) -> Scene:
    """Item 1 is seen and done most with; who sees item 2 does most with it; item 3 is applied for most."""
    counts = [make_count(posting, IMPRESSION, seen) for posting, seen in ((1, 9000), (2, 900), (3, 900))]
    counts += [make_count(1, VIEW, 900), make_count(2, VIEW, 400), make_count(3, VIEW, 50)]
    counts += [make_count(1, SAVE, 180), make_count(2, SAVE, 60), make_count(3, SAVE, 2)]
    counts += [make_count(1, APPLY, 90), make_count(2, APPLY, 5), make_count(3, APPLY, 30)]
    return town(3, make_view(only_feed(order, feeds=FEEDS), counts=counts))


async def test_popular_goes_by_what_those_do_who_see_an_item_all_kinds_together() -> None:
    assert ids_of(await scene_of("popular").ask()) == ["item-0002", "item-0003", "item-0001"]
    assert ids_of(await scene_of("most").ask()) == ["item-0003", "item-0001", "item-0002"]


async def test_popular_counts_no_kind_without_weight() -> None:
    scene, plain = scene_of("popular"), Policy().kinds
    weights = {"view": 0.0, "save": 0.0, "apply": 1.0}
    kinds = {name: msgspec.structs.replace(kind, weight=weights[name]) for name, kind in plain.items()}
    policy = only_feed("popular", feeds=FEEDS, kinds=kinds)
    assert way_of(policy, "popular") == way_of(policy, "most")
    weighed = way_of(scene.view.revision.policy, "popular").weights
    assert weighed == (("view", 1.0), ("save", 2.0), ("apply", 5.0))


@pytest.mark.parametrize("name", ORDERS)
async def test_whatever_is_registered_scores_in_every_place_alike(name: str) -> None:
    scene = scene_of(name)
    policy, view = scene.view.revision.policy, scene.view
    assert load_policy_text(policy_to_toml(policy)).feeds == dict(sorted(FEEDS.items()))
    for by_mean in (False, True):
        order = order_of(ByFeed(name, Random(1).getrandbits(64), by_mean), view.revision, view.evidence)
        way = way_of(policy, name, by_mean=by_mean)
        assert order.mode.name.lower() == way.by
        assert way.by in Ordering.__annotations__["order"].__args__
        assert [kind for kind, _ in order.weights] == [view.revision.kinds[kind] for kind, _ in way.weights]
        assert not (by_mean and way.by == "draw")


def test_a_kind_of_its_own_counts_in_what_is_popular() -> None:
    policy = only_feed("popular", feeds=FEEDS, kinds={"call": Kind(weight=3.0), "view": Kind(weight=1.0)})
    assert way_of(policy, "popular").weights == (("call", 3.0), ("view", 1.0))

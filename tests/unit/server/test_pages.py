"""Pages of a slate and of a list: what was served stays as it was, and a page belongs to one query."""

from dataclasses import replace
from typing import Any

import pytest

from nearcast_config.policy import Exploration, Slate
from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_server.errors import InvalidRequestError
from nearcast_server.paging import PAGE_LIFETIME_MS
from nearcast_server.tenancy import Tokens
from tests.unit.server.scene import (
    KEYRING,
    TENANT,
    Scene,
    ids_of,
    make_area,
    make_nearby,
    make_policy,
    make_query,
    make_served,
    make_view,
    only_feed,
    town,
)

FEEDS = ["nearest", "newest", "most_applied", "draw"]


async def all_pages(scene: Scene, limit: int, **query: Any) -> list[list[str]]:
    pages, token = [], ""
    while True:
        slate = await scene.ask(make_query(make_area(limit=limit), page_token=token, **query))
        pages.append(ids_of(slate))
        token = slate.next_page_token
        if not token:
            return pages


@pytest.mark.parametrize("feed", FEEDS)
async def test_pages_serve_every_item_once_in_the_order_of_one_long_slate(feed: str) -> None:
    scene = town(53, make_view(only_feed(feed)))
    pages = await all_pages(scene, 10)
    served = [item_id for page in pages for item_id in page]
    assert [len(page) for page in pages] == [10, 10, 10, 10, 10, 3]
    assert sorted(served) == sorted(f"item-{posting:04}" for posting in range(1, 54))


@pytest.mark.parametrize("feed", FEEDS)
async def test_scores_never_rise_from_one_page_to_the_next(feed: str) -> None:
    """A page goes on with the draw of the first, so all pages together are one slate."""
    scene = town(40, make_view(only_feed(feed)))
    first = await scene.ask(make_query(make_area(limit=15)))
    second = await scene.ask(make_query(make_area(limit=15), page_token=first.next_page_token))
    scores = [placed.score for placed in (*first.items, *second.items)]
    assert scores == sorted(scores, reverse=True)
    assert [placed.rank for placed in second.items] == list(range(16, 31))
    assert first.decision.seed == second.decision.seed
    assert first.decision.request_id != second.decision.request_id


async def test_pages_of_the_exploration_floor_repeat_nothing() -> None:
    view = make_view(make_policy(exploration=Exploration(share=0.5, pool_size=20)))
    scene = town(60, view)
    slate = await scene.ask(make_query(make_area(limit=8)))
    while not slate.decision.choice.explore:
        slate = await scene.ask(make_query(make_area(limit=8)))
    served = ids_of(slate)
    while slate.next_page_token:
        slate = await scene.ask(make_query(make_area(limit=8), page_token=slate.next_page_token))
        assert slate.decision.choice.explore
        served += ids_of(slate)
    assert len(served) == len(set(served)) == 60


async def test_new_items_may_appear_on_the_next_page_and_ended_ones_do_not() -> None:
    scene = town(20, make_view(only_feed("nearest")))
    first = await scene.ask(make_query(make_area(limit=5)))
    scene.put(make_served(99, 1.0, "newcomer"))
    scene.index.remove(scene.view.tenant_id, 6)
    second = await scene.ask(make_query(make_area(limit=5), page_token=first.next_page_token))
    assert ids_of(second) == ["newcomer", "item-0007", "item-0008", "item-0009", "item-0010"]


async def test_what_was_learned_in_between_reorders_nothing_that_was_served() -> None:
    scene = town(30, make_view(only_feed("draw")))
    first = await scene.ask(make_query(make_area(limit=10)))
    again = await scene.ask(make_query(make_area(limit=10), page_token=first.next_page_token))
    assert not set(ids_of(first)) & set(ids_of(again))


async def test_a_slate_ends_after_two_hundred_items() -> None:
    policy = only_feed("draw", slate=Slate(default_limit=60, max_limit=60))
    pages = await all_pages(town(400, make_view(policy)), 60)
    assert [len(page) for page in pages] == [60, 60, 60, 20]
    assert len({item_id for page in pages for item_id in page}) == 200


async def test_when_a_page_serves_the_last_items_exactly_the_next_looks_farther_and_ends() -> None:
    pages = await all_pages(town(20, make_view(only_feed("draw"))), 10)
    assert [len(page) for page in pages] == [10, 10, 0]


async def test_a_page_that_fills_up_exactly_does_not_hide_what_lies_farther() -> None:
    """5 items within the radius and 5 beyond it: a limit of 5 pages to all ten, as any other limit does."""
    for limit in (4, 5, 6):
        scene = town(5, make_view(only_feed("draw")))
        for posting in range(101, 106):
            scene.index.put(TENANT, make_served(posting, 9000.0))
        assert sum(map(len, await all_pages(scene, limit))) == 10


async def test_a_page_goes_on_under_its_own_visit() -> None:
    scene = town(20, make_view(only_feed("draw")))
    first = await scene.ask(make_query(make_area(limit=5), session_id="mine"))
    second = await scene.ask(make_query(make_area(limit=5), page_token=first.next_page_token))
    sessions, now_ms = scene.view.tokens.sessions, int(scene.now * 1000)
    held = [sessions.verify(slate.decision.visit.token, TENANT, now_ms) for slate in (first, second)]
    assert held[0].session == held[1].session == first.decision.visit.session


async def first_page(scene: Scene) -> str:
    slate = await scene.ask(make_query(make_area(limit=5)))
    assert slate.next_page_token
    return slate.next_page_token


async def refused(scene: Scene, token: str, canonical: bytes = b"query") -> None:
    query = make_query(make_area(limit=5), page_token=token, canonical=canonical)
    with pytest.raises(InvalidRequestError) as raised:
        await scene.ask(query)
    assert raised.value.reason == "PAGE_TOKEN_INVALID"
    assert raised.value.violations[0].field == "page_token"


async def test_a_page_of_another_query_is_refused() -> None:
    scene = town(20)
    await refused(scene, await first_page(scene), canonical=b"another")


async def test_a_page_of_another_tenant_is_refused_even_under_the_same_key() -> None:
    other = town(20, make_view(tenant_id=2))
    await refused(town(20), await first_page(other))


async def test_a_page_lasts_an_hour() -> None:
    scene = town(20)
    token = await first_page(scene)
    scene.now += PAGE_LIFETIME_MS / 1000 - 1
    assert (await scene.ask(make_query(make_area(limit=5), page_token=token))).items
    scene.now += 2
    await refused(scene, token)


async def test_a_nearby_cursor_is_no_page_of_a_slate() -> None:
    scene = town(20)
    listing = await scene.lister.nearby(1, make_nearby(make_area(limit=5)))
    await refused(scene, listing.next_page_token)


async def test_a_page_survives_one_rotation_of_the_keys_and_not_the_loss_of_its_key() -> None:
    scene = town(20)
    token = await first_page(scene)
    newer = SigningKey(8, b"n" * 32)
    scene.show(replace(scene.view, tokens=Tokens.of(Keyring((*KEYRING.keys, newer)))))
    assert (await scene.ask(make_query(make_area(limit=5), page_token=token))).items
    scene.show(replace(scene.view, tokens=Tokens.of(Keyring((newer,)))))
    await refused(scene, token)


async def test_a_page_whose_feed_has_left_the_policy_is_refused() -> None:
    scene = town(20, make_view(only_feed("draw")))
    token = await first_page(scene)
    feeds = {name: feed for name, feed in scene.view.revision.policy.feeds.items() if name != "draw"}
    scene.show(make_view(make_policy(feeds=feeds)))
    await refused(scene, token)


async def test_a_list_by_distance_continues_behind_the_last_item_shown() -> None:
    scene = town(23, make_view(), distance_of=lambda posting: 100.0 * (posting // 3))
    seen, token = [], ""
    while True:
        listing = await scene.lister.nearby(1, make_nearby(make_area(limit=5), token))
        seen += [(shown.distance_m, shown.item_id) for shown in listing.items]
        token = listing.next_page_token
        if not token:
            break
    assert len(seen) == 23
    assert seen == sorted(seen)


async def test_a_list_never_looks_farther_than_asked() -> None:
    scene = town(10, make_view(), distance_of=lambda posting: 1000.0 * posting)
    listing = await scene.lister.nearby(1, make_nearby(make_area(radius_m=3500.0)))
    assert [shown.posting for shown in listing.items] == [1, 2, 3]
    assert listing.radius_m == 3500.0
    assert listing.next_page_token == ""


@pytest.mark.parametrize("change", ["query", "tenant", "age", "kind"])
async def test_a_cursor_is_bound_to_its_query_tenant_and_hour(change: str) -> None:
    scene = town(20, make_view(tenant_id=2 if change == "tenant" else 1))
    listing = await scene.lister.nearby(scene.view.tenant_id, make_nearby(make_area(limit=5)))
    token = await first_page(scene) if change == "kind" else listing.next_page_token
    if change == "tenant":
        scene = town(20)
    if change == "age":
        scene.now += PAGE_LIFETIME_MS / 1000 + 1
    query = make_nearby(make_area(limit=5), token, b"another" if change == "query" else b"query")
    with pytest.raises(InvalidRequestError) as raised:
        await scene.lister.nearby(1, query)
    assert raised.value.reason == "PAGE_TOKEN_INVALID"

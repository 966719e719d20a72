"""What becomes of each item of a call."""

import pytest

from nearcast_catalogue.checking import Violation
from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_server.cataloguing import Cataloguer, Entry, EntryResult
from nearcast_server.errors import InvalidRequestError, NotFoundError
from nearcast_server.listpages import ListPages
from nearcast_server.tenancy import Tenancies
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from tests.conftest import FixedClock
from tests.unit.server.scene import make_view


@pytest.fixture
def cataloguer(clock: FixedClock) -> Cataloguer:
    return Cataloguer(MemoryCatalogStore(MemoryChangeFeed(clock)), clock)


def make_entry(item_id: str, title: str = "", **other: object) -> Entry:
    places = (Place(59.9, 10.7),)
    return Entry(item_id, Item(ItemId(item_id), places, title=title, **other))  # type: ignore[arg-type]


def told(results: list[EntryResult]) -> list[tuple[str, str]]:
    return [(result.outcome.code, result.outcome.reason) for result in results]


async def test_a_bad_entry_never_spoils_the_others(cataloguer: Cataloguer) -> None:
    formless = Entry("formless", None, [Violation("locations[0]", "NOT_FINITE", "must be finite")])
    results = await cataloguer.upsert(1, [make_entry("a"), make_entry("b b"), formless, make_entry("c")])
    assert told(results) == [
        ("OK", ""),
        ("INVALID_ARGUMENT", "ID_CHARSET"),
        ("INVALID_ARGUMENT", "NOT_FINITE"),
        ("OK", ""),
    ]
    assert [bool(result.written) for result in results] == [True, False, False, True]
    assert (await cataloguer.get(1, "c")).served.item.item_id == "c"


async def test_of_equal_ids_the_first_good_one_counts(cataloguer: Cataloguer) -> None:
    results = await cataloguer.upsert(
        1, [make_entry("a", "x" * 301), make_entry("a", "first"), make_entry("a", "second")]
    )
    assert told(results) == [
        ("INVALID_ARGUMENT", "TEXT_TOO_LONG"),
        ("OK", ""),
        ("INVALID_ARGUMENT", "DUPLICATE_ID_IN_BATCH"),
    ]
    assert (await cataloguer.get(1, "a")).served.item.title == "first"


async def test_a_call_without_a_good_entry_writes_nothing(cataloguer: Cataloguer) -> None:
    assert told(await cataloguer.upsert(1, [make_entry("")])) == [("INVALID_ARGUMENT", "ID_LENGTH")]
    assert told(await cataloguer.delete(1, ["", "é"], allow_missing=True)) == [
        ("INVALID_ARGUMENT", "ID_LENGTH"),
        ("INVALID_ARGUMENT", "ID_CHARSET"),
    ]


async def test_versions_and_etags_decide(cataloguer: Cataloguer) -> None:
    first = (await cataloguer.upsert(1, [make_entry("a", version=7)]))[0].written
    assert first is not None
    results = await cataloguer.upsert(1, [make_entry("a", "new", version=6)])
    assert told(results) == [("ABORTED", "VERSION_STALE")]
    results = await cataloguer.upsert(1, [make_entry("a", "new", etag="another")])
    assert told(results) == [("ABORTED", "ETAG_MISMATCH")]
    results = await cataloguer.upsert(1, [make_entry("a", "new", etag=first.etag)])
    assert told(results) == [("OK", "")]
    written = results[0].written
    assert written is not None
    assert (written.version, written.posting, written.created) == (8, first.posting, False)


async def test_what_is_missing_is_told_or_forgiven(cataloguer: Cataloguer) -> None:
    await cataloguer.upsert(1, [make_entry("a")])
    assert told(await cataloguer.delete(1, ["a", "b", "a"], allow_missing=False)) == [
        ("OK", ""),
        ("NOT_FOUND", "ITEM_NOT_FOUND"),
        ("INVALID_ARGUMENT", "DUPLICATE_ID_IN_BATCH"),
    ]
    assert told(await cataloguer.delete(1, ["a", "b"], allow_missing=True)) == [("OK", ""), ("OK", "")]
    for item_id in ("a", "b"):
        with pytest.raises(NotFoundError, match=f"there is no item {item_id}"):
            await cataloguer.get(1, item_id)


async def test_a_tenants_items_are_its_own(cataloguer: Cataloguer) -> None:
    await cataloguer.upsert(1, [make_entry("a")])
    with pytest.raises(NotFoundError):
        await cataloguer.get(2, "a")
    assert told(await cataloguer.delete(2, ["a"], allow_missing=False)) == [("NOT_FOUND", "ITEM_NOT_FOUND")]


@pytest.mark.parametrize(("asked", "given"), [(0, 100), (1, 1), (100, 100), (1000, 105), (10**9, 105)])
async def test_a_page_is_as_large_as_asked_up_to_its_limit(
    cataloguer: Cataloguer, asked: int, given: int
) -> None:
    await cataloguer.upsert(1, [make_entry(f"item-{number:03}") for number in range(105)])
    page = await cataloguer.page(1, "", asked, expired_too=False)
    assert len(page.items) == given


async def test_a_negative_page_is_refused(cataloguer: Cataloguer) -> None:
    with pytest.raises(InvalidRequestError, match="must not be negative, got -1"):
        await cataloguer.page(1, "", -1, expired_too=False)


async def test_expired_items_are_listed_only_when_asked_for(
    cataloguer: Cataloguer, clock: FixedClock
) -> None:
    await cataloguer.upsert(1, [make_entry("a", expires_at=clock() + 5), make_entry("b")])
    clock.advance(5)
    for expired_too, expected in ((False, ["b"]), (True, ["a", "b"])):
        page = await cataloguer.page(1, "", 0, expired_too=expired_too)
        assert [stored.served.item.item_id for stored in page.items] == expected


def test_where_a_list_goes_on_is_bound_to_its_tenant_and_query() -> None:
    tenancies = Tenancies()
    for tenant_id in (1, 12):
        tenancies.publish(make_view(tenant_id=tenant_id))
    pages = ListPages(tenancies)
    token = pages.close(1, "item-ø", expired_too=True)
    assert pages.open(1, token, expired_too=True) == "item-ø"
    for tenant_id, text, expired_too in (
        (12, token, True),
        (1, token, False),
        (1, token[:-1], True),
        (1, "", True),
    ):
        with pytest.raises(InvalidRequestError) as raised:
            pages.open(tenant_id, text, expired_too)
        assert raised.value.reason == "PAGE_TOKEN_INVALID"

import msgspec
import pytest

from nearcast_catalogue.hours import OpeningInterval, WeeklyHours
from nearcast_catalogue.item import Item, Place, ServedItem, Tag
from nearcast_catalogue.posting import ItemId, Posting, needs_new_posting

FULL = ServedItem(
    posting=Posting(2**40),
    version=7,
    born_at=1_700_000_000.25,
    market=3,
    item=Item(
        item_id=ItemId("cafe-1"),
        places=(Place(59.91, 10.75), Place(-33.9, -180.0)),
        reach_m=20_000.0,
        tags=(Tag("coffee", 0.5), Tag("cake")),
        category="cafe",
        title="Kafé 🥐",
        attributes={"price": "42"},
        starts_at=1.5,
        hours=WeeklyHours("Europe/Oslo", (OpeningInterval(0, 540, 1020),)),
        version=7,
        etag="e",
    ),
)
PLAIN = ServedItem(Posting(1), 1, 0.0, Item(ItemId("a"), (Place(0.0, 0.0),)))


@pytest.mark.parametrize("served", [FULL, PLAIN], ids=["full", "plain"])
@pytest.mark.parametrize("codec", [msgspec.msgpack, msgspec.json])
def test_served_item_survives_being_stored(served, codec):
    assert codec.decode(codec.encode(served), type=ServedItem) == served


def test_what_a_newer_version_adds_does_not_disturb_an_older_one():
    stored = msgspec.msgpack.decode(msgspec.msgpack.encode(FULL))
    stored["colour"] = stored["item"]["smell"] = "new"
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(stored), type=ServedItem) == FULL


def test_items_cannot_be_changed():
    with pytest.raises(AttributeError):
        FULL.version = 8  # type: ignore[misc]


@pytest.mark.parametrize(
    ("deleted", "expires_at", "now", "new"),
    [
        (False, None, 100.0, False),
        (False, 100.1, 100.0, False),
        (False, 100.0, 100.0, True),
        (False, 99.0, 100.0, True),
        (True, None, 100.0, True),
        (True, 200.0, 100.0, True),
    ],
)
def test_dead_item_that_comes_back_gets_a_new_posting(deleted, expires_at, now, new):
    assert needs_new_posting(deleted, expires_at, now) is new

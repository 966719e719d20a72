"""The owner of an item is read from its message as a parser reads it."""

from hypothesis import given
from hypothesis import strategies as st

from nearcast.v1 import item_pb2
from nearcast_catalogue.item import ServedItem
from nearcast_server.owners import OWNER_FIELD, owner_in
from nearcast_server.rpc.items import to_message
from tests.property.test_answers import SERVED


@given(SERVED)
def test_an_owner_is_read_as_it_was_written(served: ServedItem) -> None:
    assert owner_in(to_message(served).SerializeToString()) == served.item.owner


def test_the_number_is_that_of_the_contract() -> None:
    assert item_pb2.Item.DESCRIPTOR.fields_by_name["owner"].number == OWNER_FIELD


@given(st.binary(max_size=60))
def test_other_bytes_have_an_owner_or_none_and_raise_nothing(raw: bytes) -> None:
    assert isinstance(owner_in(raw), str)

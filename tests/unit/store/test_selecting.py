"""The statements that read a customer's table."""

import pytest

from nearcast_config.source import Source, SourceColumns
from nearcast_store.behaviour.errors import SourceMisfitError
from nearcast_store.behaviour.selecting import quoted, relation, selection_of

TYPES = {"occurred_at": "timestamptz", "id": "int8", "kind": "text"}


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ("acts", '"acts" as source'),
        ("public.User Acts", '"public"."User Acts" as source'),
        ('public."Acts"', '"public"."Acts" as source'),
        ('a"; drop table b; --', '"a""; drop table b; --" as source'),
    ],
)
def test_a_name_stays_a_name_whatever_is_in_it(table: str, named: str) -> None:
    assert relation(Source(table=table)) == named


def test_a_query_may_end_as_it_does_in_a_shell() -> None:
    assert relation(Source(query=" select 1; ")) == "(\nselect 1\n) as source"
    assert relation(Source(query="select 1 -- all")) == "(\nselect 1 -- all\n) as source"


def test_a_page_goes_by_time_and_id_and_never_by_offset() -> None:
    following = selection_of(Source(table="acts"), TYPES).following()
    place = 'where (source."occurred_at", source."id") > ($3::text::timestamptz, $4::text::int8)'
    assert place in following
    assert 'order by source."occurred_at", source."id" limit $2' in following
    assert "offset" not in following


def test_a_number_is_compared_as_the_unit_says() -> None:
    columns = SourceColumns(time="t")
    selection = selection_of(Source(table="a", columns=columns, epoch_unit="ms"), {**TYPES, "t": "int8"})
    assert selection.moment(1.0005) == "1000"
    assert selection.moment(1.0005, up=True) == "1001"


def test_quotes_are_doubled() -> None:
    assert quoted('a"b') == '"a""b"'


def test_an_optional_column_that_is_not_there_can_be_left_out() -> None:
    with pytest.raises(SourceMisfitError, match=r'no column worth; .*or to "" if there is none') as caught:
        selection_of(Source(table="acts", columns=SourceColumns(value="worth")), TYPES)
    assert "It has: occurred_at, id, kind." in str(caught.value)


def test_a_type_that_cannot_be_paged_by_is_named_with_those_that_can() -> None:
    with pytest.raises(SourceMisfitError, match="column id is of type jsonb, and must be one of int2, int4"):
        selection_of(Source(table="acts"), {**TYPES, "id": "jsonb"})

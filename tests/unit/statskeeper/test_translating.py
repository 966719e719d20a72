"""Rows of a customer's table in the gateway's words."""

from typing import Any

import pytest

from nearcast_ledger.person import Person
from nearcast_ledger.requestid import parse_uuid, uuid7_ms
from nearcast_statskeeper.translating import report_of
from nearcast_store.behaviour.table import BehaviourRow
from nearcast_store.intake.judging import Report
from tests.unit.statskeeper.entries import NOW_S


def report(seconds: float = NOW_S, fault: str = "", **values: Any) -> Report:
    row = BehaviourRow("then", "17", seconds, {"kind": "opened", **values}, fault)
    return report_of(row, "source", {"opened": "view"})


def reason(**values: Any) -> str:
    problem = report(**values).problem
    return problem.reason if problem else ""


def test_a_row_says_who_did_what_and_when() -> None:
    found = report(item="i", user="u", session="s", reward_token="t", value="2.5", properties='{"a": [1]}')
    assert (found.kind, found.item_id, found.person, found.session_id) == ("view", "i", Person("u"), "s")
    assert (found.reward_token, found.value, found.properties) == ("t", 2.5, b'{"a":[1]}')
    assert found.occurred_at_us == NOW_S * 1e6
    assert found.problem is None


def test_its_id_carries_its_time() -> None:
    event_id = parse_uuid(report().event_id)
    assert event_id is not None
    assert uuid7_ms(event_id) == NOW_S * 1000


def test_words_without_a_translation_are_kinds_themselves() -> None:
    assert report(kind="save").kind == "save"
    assert report(kind=None).kind == ""


def test_a_guest_counts_where_there_is_no_user() -> None:
    assert report(user="u", anonymous="g").person == Person(user_id="u")
    assert report(user=None, anonymous="g").person == Person(anonymous_id="g")


@pytest.mark.parametrize("seconds", [float("inf"), float("-inf"), float("nan"), -1.0, 1e18])
def test_a_time_that_is_no_moment_is_named(seconds: float) -> None:
    assert reason(seconds=seconds) == "TIMESTAMP_RANGE"
    assert report(seconds=seconds).event_id == ""


@pytest.mark.parametrize(
    "text",
    ["[1]", "5", "{", '{"a": 1e999}', '{"a": "\\u0000"}', '{"a": "\\ud800"}', "{" * 5, "[" * 16000,
     '{"a": {"b": {"c": {"d": {}}}}}', '{"": 1}'],
)  # fmt: skip
def test_properties_that_cannot_be_kept_are_named(text: str) -> None:
    assert reason(properties=text) == "PROPERTIES_LIMIT"


def test_properties_may_be_missing() -> None:
    assert report(properties="null").properties == report(properties=None).properties == b""


def test_a_value_that_is_no_number_is_named() -> None:
    assert reason(value="much") == "VALUE_OUT_OF_RANGE"
    assert report(value=None).value is None


def test_what_its_database_cannot_give_out_is_named_first() -> None:
    found = report(fault="division by zero", value="much")
    assert found.problem is not None
    assert (found.problem.reason, found.problem.message) == ("ROW_UNREADABLE", "division by zero")

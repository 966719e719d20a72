"""Each entry of a batch is judged by itself."""

import pytest

from nearcast_catalogue.checking import Violation
from nearcast_catalogue.outcomes import OK, Outcome
from nearcast_server.batching import Batch, batch_of_ids

GONE = Outcome("NOT_FOUND", "ITEM_NOT_FOUND", "there is no such item", "item_id", "DROP")


def check(field: str, value: str) -> list[Violation]:
    return [] if value.isalpha() else [Violation(field, "ID_CHARSET", "must be letters")]


def outcome_of(written: str) -> Outcome:
    return OK if written == "written" else GONE


def test_a_bad_entry_spoils_no_other_and_results_keep_the_order_of_the_call() -> None:
    batch = batch_of_ids("item_id", ["a", "?", "b", "a"], check)
    assert batch.good == ["a", "b"]
    results = batch.results(["written", "gone"], outcome_of)
    assert [(result.entry_id, result.outcome.reason, result.written) for result in results] == [
        ("a", "", "written"),
        ("?", "ID_CHARSET", None),
        ("b", "ITEM_NOT_FOUND", "gone"),
        ("a", "DUPLICATE_ID_IN_BATCH", None),
    ]


def test_the_first_good_entry_of_an_id_counts() -> None:
    batch = Batch[int]("item_id")
    batch.add("a", Violation("item_id", "ID_CHARSET", "must be letters"))
    assert batch.twice("a") == []
    batch.add("a", 1)
    assert [problem.reason for problem in batch.twice("a")] == ["DUPLICATE_ID_IN_BATCH"]


def test_what_is_told_of_an_id_is_cut_and_a_missing_word_of_the_store_is_a_fault() -> None:
    batch = batch_of_ids("item_id", ["a" * 1000], check)
    assert batch.results(["written"], outcome_of)[0].entry_id == "a" * 128
    with pytest.raises(ValueError, match="shorter"):
        batch.results([], outcome_of)

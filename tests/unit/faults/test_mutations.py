"""Every mistake that the fault suite must see can still be made, and its test exists."""

import ast
from pathlib import Path

import pytest

from tests.faults.mutants import misplaced, mutated
from tests.faults.mutations import MUTATIONS, Change, Mutation

ROOT = Path(__file__).parents[3]
each = pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)


@each
def test_what_a_mistake_changes_stands_there_once(mutation: Mutation) -> None:
    assert list(misplaced(mutation)) == []


@each
def test_a_mistake_is_code_that_runs(mutation: Mutation) -> None:
    texts: dict[str, str] = {}
    for change in mutation.changes:
        before = texts.get(change.path) or (ROOT / change.path).read_text(encoding="utf-8")
        texts[change.path] = mutated(change, before)
    for path, text in texts.items():
        assert text != (ROOT / path).read_text(encoding="utf-8")
        assert not path.endswith(".py") or ast.parse(text)


@each
def test_the_test_that_must_see_it_exists(mutation: Mutation) -> None:
    path, _, name = mutation.test.partition("::")
    assert f"\nasync def {name.partition('[')[0]}(" in (ROOT / path).read_text(encoding="utf-8")


def test_a_place_that_is_gone_is_told_and_never_passed_over() -> None:
    lost = Change("tests/faults/mutations.py", "nothing of " + "this kind", "")
    assert "0 times" in next(misplaced(Mutation("lost", (lost,), "")))
    with pytest.raises(ValueError, match="0 times"):
        mutated(lost, "some text")
    with pytest.raises(ValueError, match="2 times"):
        mutated(Change("a", "b", "c"), "b b")

"""Which benchmarks are run, in which form, and how long that is said to take."""

from importlib.util import find_spec

import pytest

from benchmarks.suite.listing import BENCHMARKS, NAMES, in_words, plan

QUICK_MOST_S = 300.0


def test_without_names_all_are_run_in_the_order_of_the_list() -> None:
    assert [step.name for step in plan((), quick=False, peers=False)] == list(NAMES)


def test_quick_leaves_out_what_has_no_quick_form_and_keeps_to_five_minutes() -> None:
    steps = plan((), quick=True, peers=False)
    assert [step.name for step in steps] == [each.name for each in BENCHMARKS if each.quick is not None]
    assert sum(step.expected_s for step in steps) < QUICK_MOST_S


def test_a_benchmark_that_is_named_is_run_whole_when_it_has_no_quick_form() -> None:
    (step,) = plan(("workers",), quick=True, peers=False)
    assert step.arguments == []
    assert step.expected_s == next(each.whole_s for each in BENCHMARKS if each.name == "workers")


def test_names_choose_and_the_list_orders() -> None:
    assert [step.name for step in plan(("recommend", "decision"), quick=False, peers=False)] == [
        "decision",
        "recommend",
    ]


def test_peers_are_installed_only_where_they_are_known_and_wanted() -> None:
    wanting = {step.name for step in plan((), quick=False, peers=True) if "--peers" in step.arguments}
    assert wanting == {"decision"}
    assert not [step for step in plan((), quick=False, peers=False) if "--peers" in step.arguments]


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=NAMES)
def test_every_module_of_the_list_exists(benchmark) -> None:
    assert find_spec(benchmark.module)


def test_time_is_said_in_seconds_and_minutes() -> None:
    assert in_words(40.0) == "40 s"
    assert in_words(960.0) == "16 min"

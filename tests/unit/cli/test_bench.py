"""Where the command finds the benchmarks, and what it says where there are none."""

from pathlib import Path

import pytest

from nearcast_cli.checkout import find_checkout
from nearcast_cli.commands.bench import benchmarks_root
from nearcast_cli.failure import CommandFailedError


def test_the_benchmarks_lie_at_the_root_of_the_checkout() -> None:
    assert benchmarks_root(find_checkout()) == Path(__file__).resolve().parents[3]


def test_without_a_checkout_it_says_where_they_are() -> None:
    with pytest.raises(CommandFailedError, match="part of the checkout") as failed:
        benchmarks_root(None)
    assert failed.value.reason == "NO_CHECKOUT"
    assert "./nearcast bench --quick" in failed.value.advice


def test_a_checkout_without_them_is_told_too(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match="part of the checkout"):
        benchmarks_root(tmp_path)

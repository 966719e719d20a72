"""The page of the promise knows every way an event can end, and every durability."""

import re
from pathlib import Path
from typing import get_args, get_type_hints

from nearcast_config.process import Log
from nearcast_ledger.horizon import FUTURE_TOLERANCE_S, HORIZON_HOURS, REPLAY_WINDOW_HOURS
from nearcast_statskeeper.faults import DeadReason
from nearcast_statskeeper.folding import MOST_DELIVERIES

PAGE = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text(encoding="utf-8")


def test_every_reason_of_a_dead_letter_is_told() -> None:
    assert re.findall(r"^\| `([A-Z_]+)` \|", PAGE, re.MULTILINE) == list(DeadReason)


def test_every_durability_is_told() -> None:
    told = re.findall(r"^\| `(memory|everysec|fsync|replicated)`", PAGE, re.MULTILINE)
    assert told == list(get_args(get_type_hints(Log)["durability"]))


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"known for {HORIZON_HOURS // 24} days" in PAGE
    assert f"More than {FUTURE_TOLERANCE_S // 60} minutes ahead" in PAGE
    assert f"more than {MOST_DELIVERIES} times" in PAGE
    assert f"less {REPLAY_WINDOW_HOURS} hours" in PAGE

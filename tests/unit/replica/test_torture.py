"""A writer at full rate in one process, a reader in another that checks every record it reads."""

from pathlib import Path

import pytest

from benchmarks.replica.torture import Bug, Torture


@pytest.mark.timeout(300)
def test_no_record_is_ever_seen_half_done(tmp_path: Path) -> None:
    outcome = Torture(reads=5_000_000).run(tmp_path)
    assert not outcome.wrong
    assert outcome.reads >= 5_000_000
    assert outcome.newest > 500_000
    assert outcome.changes > 100
    assert outcome.statistics > 10_000


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("bug", "told"),
    [
        ("publishes_first", "is not that of"),
        ("kills_first", "is nowhere"),
        ("tears_statistics", "of different moments"),
    ],
)
def test_a_careless_writer_is_found_out(tmp_path: Path, bug: Bug, told: str) -> None:
    outcome = Torture(reads=500_000_000, bug=bug).run(tmp_path)
    assert any(told in each for each in outcome.wrong)

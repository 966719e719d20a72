import numpy as np

from nearcast_bandit.evidence import EvidenceTable
from nearcast_bandit.exposure import ExposureRule


def test_twenty_million_single_increments_are_counted_exactly() -> None:
    # A 32-bit float stops at 16,777,216.
    table = EvidenceTable([ExposureRule()], hour=10)
    rows, counts = np.zeros(1_000_000, dtype=np.int64), np.ones(1_000_000, dtype=np.int64)
    for hour in (9, 10):
        for _ in range(10):
            table.add_impressions(rows, hour, counts, counts)
    assert table.at(10.5)[0][0, 0] == 20_000_000

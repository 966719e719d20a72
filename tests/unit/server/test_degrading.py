"""What an answer says of itself when not all is well."""

from dataclasses import replace

import pytest

from nearcast_config.mastery import Master
from nearcast_config.policy import Freshness
from nearcast_server.degrading import KEEPER_SILENT_S, degraded
from nearcast_server.tenancy import View
from nearcast_store.tenants.protocol import Beat
from tests.unit.server.scene import NOW, make_epoch, make_policy, make_view, with_epochs

VIEW = make_view(make_policy(freshness=Freshness(stats_stale_s=10.0), master=Master(epoch_minutes=15.0)))


def epoch_of_age(age_s: float) -> View:
    return with_epochs(VIEW, make_epoch(VIEW, 1, (0.25,) * 4, published_at=NOW - age_s))


@pytest.mark.parametrize(
    ("view", "reasons"),
    [
        (VIEW, ()),
        (replace(VIEW, read_at=NOW - 10.0), ()),
        (replace(VIEW, read_at=NOW - 10.1), ("STATS_STALE",)),
        (replace(VIEW, beat=None), ("KEEPER_DOWN",)),
        (replace(VIEW, beat=Beat(NOW - KEEPER_SILENT_S, NOW)), ()),
        (replace(VIEW, beat=Beat(NOW - KEEPER_SILENT_S - 0.1, NOW)), ("KEEPER_DOWN",)),
        (replace(VIEW, store_answers=False), ("STORE_UNAVAILABLE",)),
        (replace(VIEW, store_answers=False, beat=Beat(NOW - 60, NOW)), ("STORE_UNAVAILABLE",)),
        (replace(VIEW, store_answers=False, read_at=NOW - 60), ("STATS_STALE", "STORE_UNAVAILABLE")),
        (epoch_of_age(1800.0), ()),
        (epoch_of_age(1800.1), ("EPOCH_STALE",)),
    ],
)
def test_each_fault_is_told_by_its_name(view: View, reasons: tuple[str, ...]) -> None:
    assert degraded(view, NOW) == reasons

"""Reports that come twice, late, out of order, over several gateways, or under a false name."""

import asyncio
import math

from tests.faults.house import House
from tests.faults.proxy import Fate, at_commit
from tests.faults.traffic import DAY_MS, attributed, event_ids, forged, refused
from tests.gateways import eventually

A_DAY_S = str(86_400)
# The gateway can be seen to have looked.
MISCOUNT = "update item_counts set count = count {}, changed_xid = default where posting = {}"


async def test_the_same_batch_ten_times_over_two_gateways_is_counted_once(house: House) -> None:
    """The second one's clock is a day ahead: what it receives, it receives after midnight."""
    await house.gateways[1].start(NEARCAST_TEST_CLOCK_AHEAD_S=A_DAY_S)
    ahead = house.patient_line(1)
    batch = house.journal.intend([attributed(shown, "view") for shown in await house.lines[0].slate(8)])
    for _ in range(5):
        await asyncio.gather(*(house.client.record_again(batch, line) for line in (house.lines[0], ahead)))
    await ahead.close()
    assert await house.verdict() == []


async def test_acts_before_their_impressions_imply_them_once(house: House) -> None:
    slate = await house.lines[0].slate(8)
    await house.client.record([attributed(shown, "apply") for shown in slate])
    await house.drained()
    await house.client.record([attributed(shown, "view") for shown in slate])
    # Of half of them it never comes.
    await house.client.record([attributed(shown, "impression") for shown in slate[:4]])
    assert await house.verdict() == []


async def test_a_token_of_one_item_proves_nothing_of_another(house: House) -> None:
    slate = await house.lines[0].slate(4)
    fresh = event_ids(house.random)
    await house.client.record([forged(shown, fresh()) for shown in slate])
    assert await house.verdict() == []


async def test_what_commits_late_is_seen_by_every_gateway_all_the_same(house: House) -> None:
    """A fold began first and ends last: whoever looked for later changes only would never see it."""
    await house.keepers[0].kill()
    await house.keepers[0].start(NEARCAST_POSTGRES__COMMAND_TIMEOUT_S="20")
    seen, other = await house.lines[0].slate(2)
    await house.client.record([attributed(seen, "impression"), attributed(other, "impression")])
    await house.drained()
    await house.agrees()
    late = house.proxies.keeper_postgres.set(at_commit(Fate.HOLD))
    await house.client.record([attributed(seen, "view")])
    await late.springs()
    before = await house.believed(other.item_id)
    await house.sql(MISCOUNT.format("+ 1", other.posting))
    await eventually(lambda: house.believed(other.item_id), 10.0, lambda now: now != before)
    await house.sql(MISCOUNT.format("- 1", other.posting))
    late.released.set()
    assert await house.verdict() == []
    await house.agrees()


async def test_reports_that_cannot_be_taken_are_refused_one_by_one(house: House) -> None:
    """The sound ones of the same call are counted."""
    fresh, old = event_ids(house.random), event_ids(house.random, -8 * DAY_MS)
    sound = [attributed(shown, "save") for shown in await house.lines[0].slate(4)]
    bad = [
        refused("VALUE_OUT_OF_RANGE", kind="view", event_id=fresh(), value=math.nan),
        refused("EVENT_TOO_OLD", kind="view", event_id=old()),
        refused("EVENT_IN_FUTURE", kind="view", event_id=event_ids(house.random, DAY_MS)()),
        refused("KIND_UNKNOWN", kind="nothing", event_id=fresh()),
        refused("ID_CHARSET", kind="view", event_id=fresh(), item_id="a\0b"),
    ]
    await house.client.record([*bad, *sound])
    assert await house.verdict() == []

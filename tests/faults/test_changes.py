"""What an operator changes while events flow: the schema, and the keys that sign."""

import time
from base64 import urlsafe_b64decode
from collections.abc import Sequence

import asyncpg

from nearcast_server.following import KEYS_READ_EVERY_S
from nearcast_store.migration import migrate
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.policies.rotation import SIGNS_AFTER_S
from nearcast_store.postgres import open_pool
from tests.faults.client import Client, Line
from tests.faults.house import House
from tests.faults.journal import Intent
from tests.faults.traffic import Shown, attributed
from tests.faults.waiting import rest
from tests.gateways import eventually

TABLES = ("events", "item_counts", "feed_trials", "log_positions")
BATCHES_BETWEEN = 10


async def test_tables_that_change_under_load_disturb_nobody(house: House) -> None:
    """Columns come and go as migrations bring them, and the migration itself runs again and again."""
    client, unanswered = house.client, house.client.unanswered
    client.begin(4)
    connection = await asyncpg.connect(house.dsn)
    try:
        for _ in range(3):
            for table in TABLES:
                await change(connection, f"alter table {table} add column later integer")
            assert await migrate(house.dsn) == []
            await goes_on(client)
            for table in TABLES:
                await change(connection, f"alter table {table} drop column later")
    finally:
        await connection.close()
    await client.pause()
    await client.end()
    assert client.unanswered == unanswered
    assert await house.verdict() == []
    failed = house.keepers[0].child.heard.get("step.failed")
    assert not failed, failed
    await house.agrees()


async def goes_on(client: Client) -> None:
    """Return once some more batches were acknowledged."""
    enough = len(client.acked) + BATCHES_BETWEEN
    await eventually(client.answered, 10.0, lambda answered: answered >= enough)


async def change(connection: asyncpg.Connection, query: str) -> None:
    """As a migration does it: it never waits long for a lock, and tries again."""

    async def done() -> bool:
        try:
            async with connection.transaction():
                await connection.execute("set local lock_timeout = '100ms'")
                await connection.execute(query)
        except asyncpg.LockNotAvailableError:
            return False
        return True

    await eventually(done, 10.0)


async def test_tokens_of_the_key_before_are_believed_while_keys_turn_over(house: House) -> None:
    """By both gateways, whichever of them showed the items; and those of the new key, once it signs."""
    await house.gateways[1].start()
    old = [await line.slate(2) for line in house.lines]
    key_id = await rotate(house)
    await rest(KEYS_READ_EVERY_S + 1)
    await house.client.record(acts(old, "view"), house.lines[0])
    await house.sql(f"update signing_keys set created_at = created_at - interval '{SIGNS_AFTER_S} s'")
    new = [await until_signed_by(line, key_id) for line in house.lines]
    for line, kind in zip(house.lines, ("save", "apply"), strict=True):
        await house.client.record(acts([*old, *new], kind), line)
    assert await house.verdict() == []


async def rotate(house: House) -> int:
    """The number of a new key."""
    pool = await open_pool(house.dsn, 1, 5.0)
    try:
        keyring = await PostgresPolicyStore(pool, time.time).rotate(house.tenant_id)
    finally:
        await pool.close()
    return max(key.key_id for key in keyring.keys)


async def until_signed_by(line: Line, key_id: int) -> list[Shown]:
    """A slate under that key, the number of which is the first byte of a token."""

    async def slate() -> list[Shown]:
        return await line.slate(2)

    return await eventually(
        slate, 10.0, lambda slate: all(urlsafe_b64decode(shown.token[:4])[0] == key_id for shown in slate)
    )


def acts(slates: Sequence[Sequence[Shown]], kind: str) -> list[Intent]:
    return [attributed(shown, kind) for slate in slates for shown in slate]

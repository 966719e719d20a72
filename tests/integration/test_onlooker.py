"""What `up` calls ready: not that services say they can answer, but that a question is answered."""

from pathlib import Path

from nearcast_cli.finding import Target
from nearcast_cli.house.board import health_words
from nearcast_cli.house.figures import Onlooker
from nearcast_geo.point import Point
from tests.gateways import Gateway, eventually

OSLO = Point(59.91, 10.75)


async def test_a_tenant_that_cannot_be_read_is_no_open_house(gateway: Gateway, tmp_path: Path) -> None:
    """Its policy is of another version: every service is up, and no question of this tenant is answered."""
    tenant_id = await add_unreadable_tenant(gateway)
    key, _ = await gateway.store.create_key(tenant_id, "operator", "tests", None)
    onlooker = Onlooker(gateway.channel, Target(gateway.address, key), OSLO, tmp_path / "town.json")

    async def services_are_up() -> bool:
        return all((await onlooker.look()).health.values())

    await eventually(services_are_up, 10.0)
    assert not await onlooker.is_open(complete=False)
    figures = await onlooker.look()
    assert figures.answer.refusal == "SERVER_NOT_READY"
    assert health_words(figures) == "questions are refused: SERVER_NOT_READY"

    async with gateway.pool.connection() as connection:
        await connection.execute("delete from policy_revisions where tenant_id = $1", tenant_id)
    await eventually(lambda: onlooker.is_open(complete=False), 10.0)


async def test_a_house_without_a_keeper_is_open_and_not_complete(gateway: Gateway, tmp_path: Path) -> None:
    tenant = await gateway.new_tenant("keeperless")
    target = Target(gateway.address, tenant.keys["operator"])
    onlooker = Onlooker(gateway.channel, target, OSLO, tmp_path / "town.json")
    await eventually(lambda: onlooker.is_open(complete=False), 10.0)
    assert not await onlooker.is_open(complete=True)
    assert (await onlooker.look()).answer.degraded == ("KEEPER_DOWN",)


async def add_unreadable_tenant(gateway: Gateway) -> int:
    """Tenant and policy in one transaction: a gateway that once read a policy keeps it."""
    async with gateway.pool.transaction() as connection:
        tenant_id: int = await connection.fetchval(
            "insert into tenants (slug, display_name) values ('unreadable', 'x') returning tenant_id"
        )
        await connection.execute(
            "insert into policy_revisions (tenant_id, revision, body, checksum, author)"
            " values ($1, 1, '{}[]', '', 'tests')",
            tenant_id,
        )
    return tenant_id

"""Keys that are none, are no longer any, or are for somebody else."""

import time
from collections.abc import Callable

import pytest
from google.protobuf.message import Message

from nearcast.v1 import catalog_pb2
from nearcast_store.tenants.protocol import Role
from tests.gateways import PATHS, ROLES, Gateway, Refusal, Tenant, bearer, eventually, item, nearby
from tests.integration.hostile.rows import assert_unharmed, assert_well_formed, refusal_of
from tests.integration.hostile.test_wire import GOOD

ADMIN = (
    *("UpsertItems", "DeleteItems", "GetItem", "ListItems", "GetStats", "WatchStats"),
    *("UpsertMarkets", "DeleteMarkets", "ListMarkets"),
)
OPERATORS = (
    *("ValidatePolicy", "ApplyPolicy", "RollbackPolicy", "GetPolicy", "ListPolicyRevisions"),
    *("Freeze", "Unfreeze", "ExplainDecision"),
    *("StartExperiment", "StopExperiment", "GetExperiment", "ListExperiments"),
)
EMPTY_HANDED = {
    "GetItem": "ITEM_NOT_FOUND",
    "WatchStats": "RESUME_TOKEN_INVALID",
    "Freeze": "MARKET_UNKNOWN",
    "Unfreeze": "MARKET_UNKNOWN",
    "ExplainDecision": "DECISION_NOT_LOGGED",
    "StartExperiment": "EXPERIMENT_UNFIT",
    "StopExperiment": "EXPERIMENT_NOT_FOUND",
    "GetExperiment": "EXPERIMENT_NOT_FOUND",
}
UNKNOWN = "the API key is unknown, expired or revoked"
LATEST_S = 20.0


async def asked(
    gateway: Gateway, metadata: tuple[tuple[str, str | bytes], ...], name: str = "Nearby"
) -> Refusal:
    return await refusal_of(gateway.raw(PATHS[name], GOOD[name].SerializeToString(), metadata=metadata))


@pytest.mark.parametrize("name", PATHS)
async def test_without_a_key_nothing_is_answered(gateway: Gateway, tenant: Tenant, name: str) -> None:
    before = await gateway.state(tenant)
    refusal = await asked(gateway, (), name)
    assert (refusal.code, refusal.reason) == ("UNAUTHENTICATED", "MISSING_CREDENTIALS")
    assert "authorization: Bearer" in refusal.message
    assert_well_formed(gateway, tenant, refusal)
    await assert_unharmed(gateway, tenant, before)


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        str.swapcase,
        lambda key: f"{key} x",
        lambda key: f"{key}x",
        lambda key: key[:-1],
        lambda key: f" {key}",
        lambda key: key[:11],
        lambda key: "x",
        lambda key: "k" * 6000,
        lambda key: "'; drop table api_keys; --",
    ],
    ids=["upper", "case", "more", "longer", "shorter", "space", "prefix", "x", "6 KB", "sql"],
)
async def test_a_key_that_is_almost_right_is_unknown(
    gateway: Gateway, tenant: Tenant, change: Callable[[str], str]
) -> None:
    refusal = await asked(gateway, bearer(change(tenant.keys["operator"])))
    assert (refusal.code, refusal.reason, refusal.message) == ("UNAUTHENTICATED", "INVALID_API_KEY", UNKNOWN)
    assert_well_formed(gateway, tenant, refusal)


async def test_a_key_of_ten_kilobytes_is_refused_by_whoever_reads_it_first(
    gateway: Gateway, tenant: Tenant
) -> None:
    """gRPC may drop headers that long before we see them."""
    refusal = await asked(gateway, bearer("k" * 10_240))
    assert refusal.code in {"UNAUTHENTICATED", "RESOURCE_EXHAUSTED"}
    await gateway.call(tenant, nearby(1.0, 1.0))


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ((("authorization", "Bearer a"), ("authorization", "Bearer b")), "AMBIGUOUS_CREDENTIALS"),
        ((("authorization", "Basic YTpi"),), "INVALID_API_KEY"),
        ((("authorization", "Bearer"),), "INVALID_API_KEY"),
        ((("authorization", ""),), "INVALID_API_KEY"),
        ((("x-api-key", "nc_x"),), "MISSING_CREDENTIALS"),
        ((("authorization-bin", b"Bearer x"),), "MISSING_CREDENTIALS"),
    ],
    ids=["two", "basic", "no key", "nothing", "another header", "binary"],
)
async def test_what_does_not_name_one_key_is_refused(
    gateway: Gateway, tenant: Tenant, sent: tuple[tuple[str, str | bytes], ...], reason: str
) -> None:
    refusal = await asked(gateway, sent)
    assert (refusal.code, refusal.reason) == ("UNAUTHENTICATED", reason)
    assert_well_formed(gateway, tenant, refusal)


async def test_two_good_keys_are_one_too_many(gateway: Gateway, tenant: Tenant) -> None:
    refusal = await asked(gateway, (*bearer(tenant.keys["client"]), *bearer(tenant.keys["client"])))
    assert (refusal.code, refusal.reason) == ("UNAUTHENTICATED", "AMBIGUOUS_CREDENTIALS")


async def test_unknown_revoked_and_expired_keys_are_told_the_same(gateway: Gateway, tenant: Tenant) -> None:
    expired, _ = await gateway.store.create_key(tenant.tenant_id, "client", "", time.time() - 1)
    revoked, info = await gateway.store.create_key(tenant.tenant_id, "client", "", None)
    await gateway.store.revoke_key(tenant.tenant_id, info.key_id)
    told = [await asked(gateway, bearer(key)) for key in ("nc_cunknown_key", revoked, expired)]
    assert len({(r.code, r.reason, r.message, r.detail_bytes) for r in told}) == 1
    assert told[0].reason == "INVALID_API_KEY"


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are looked up again after a tenth of the usual time."""
    monkeypatch.setattr("nearcast_server.callers.FRESH_S", 0.2)


@pytest.mark.usefixtures("fast")
async def test_a_key_revoked_while_in_use_is_refused_soon(gateway: Gateway, tenant: Tenant) -> None:
    key, info = await gateway.store.create_key(tenant.tenant_id, "client", "", None)
    body = GOOD["Nearby"].SerializeToString()
    await gateway.raw(PATHS["Nearby"], body, metadata=bearer(key))
    await gateway.store.revoke_key(tenant.tenant_id, info.key_id)

    async def told() -> str:
        try:
            await gateway.raw(PATHS["Nearby"], body, metadata=bearer(key))
        except Refusal as refusal:
            return refusal.reason
        return ""

    assert await eventually(told, LATEST_S) == "INVALID_API_KEY"


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("role", ROLES)
async def test_a_role_may_call_what_it_is_for(
    gateway: Gateway, tenant: Tenant, name: str, role: Role
) -> None:
    allowed = ["operator"] if name in OPERATORS else ["backend", "operator"] if name in ADMIN else [*ROLES]
    may = role in allowed
    if may:
        assert await gateway.reason_of(tenant, GOOD[name], role=role) == EMPTY_HANDED.get(name, "")
        return
    before = await gateway.state(tenant)
    refusal = await refusal_of(gateway.call(tenant, GOOD[name], role=role))
    assert (refusal.code, refusal.reason) == ("PERMISSION_DENIED", "INSUFFICIENT_SCOPE")
    assert refusal.metadata == {"role": role, "allowed": ",".join(allowed)}
    assert_well_formed(gateway, tenant, refusal)
    await assert_unharmed(gateway, tenant, before)


async def test_permission_is_judged_before_the_request_is_read(gateway: Gateway, tenant: Tenant) -> None:
    refusal = await refusal_of(
        gateway.raw(PATHS["UpsertItems"], b"\xff", metadata=bearer(tenant.keys["client"]))
    )
    assert refusal.code == "PERMISSION_DENIED"


async def test_another_tenants_item_is_as_good_as_none(gateway: Gateway, tenant: Tenant) -> None:
    other = await gateway.new_tenant("neighbours")
    await gateway.call(other, catalog_pb2.UpsertItemsRequest(items=[item("theirs", title="secret title")]))
    told = []
    for item_id in ("theirs", "nobodys"):
        get: Message = catalog_pb2.GetItemRequest(item_id=item_id)
        refusal = await refusal_of(gateway.call(tenant, get))
        assert_well_formed(gateway, tenant, refusal, hidden=("secret title",))
        told.append((refusal.code, refusal.reason, refusal.message.replace(item_id, "x")))
        delete = catalog_pb2.DeleteItemsRequest(item_ids=[item_id])
        outcome = (await gateway.call(tenant, delete)).results[0].outcome
        told.append((str(outcome.code), outcome.reason, outcome.message))
    assert told[:2] == told[2:]
    assert (await gateway.call(other, catalog_pb2.GetItemRequest(item_id="theirs"))).item.title
    listed = await gateway.call(tenant, catalog_pb2.ListItemsRequest())
    assert "theirs" not in [found.item_id for found in listed.items]


@pytest.mark.usefixtures("fast")
async def test_a_suspended_tenant_is_told_so_until_it_is_not(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant("suspended")

    async def suspend(sql: str) -> None:
        async with gateway.pool.connection() as connection:
            await connection.execute(
                f"update tenants set suspended_at = {sql} where tenant_id = $1", tenant.tenant_id
            )

    async def told() -> str:
        return await gateway.reason_of(tenant, nearby(1.0, 1.0))

    await suspend("now()")
    await eventually(told, LATEST_S, lambda reason: reason == "TENANT_SUSPENDED")
    await suspend("null")
    await eventually(told, LATEST_S, lambda reason: reason == "")

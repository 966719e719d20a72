"""What is asked of every answer to bad input, whatever was wrong with it."""

from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from time import process_time
from typing import Any

import pytest
from google.protobuf.message import Message

from tests.gateways import Gateway, Refusal, Tenant, nearby

# Of processor time, as the machine may be busy with other tests; waiting ends with the call's deadline.
MOST_SECONDS = 5.0
MOST_DETAIL_BYTES = 4096


@dataclass(frozen=True)
class Row:
    """One bad value and the answer to it: the rule is part of what a person reads."""

    name: str
    request: Message
    reason: str
    field: str
    rule: str
    hidden: tuple[str, ...] = ()
    code: str = "INVALID_ARGUMENT"


def params(rows: Iterable[Row]) -> Any:
    """Rows as parameters, named for what is wrong."""
    return pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in rows])


async def refusal_of(answer: Awaitable[object]) -> Refusal:
    """The error; none at all is a failure, and so is one that is dearly bought."""
    started = process_time()
    with pytest.raises(Refusal) as raised:
        await answer
    assert process_time() - started < MOST_SECONDS
    return raised.value


async def check_refused(gateway: Gateway, tenant: Tenant, row: Row) -> None:
    """The row's answer has the right form and says the right thing, and nothing came of the call."""
    before = await gateway.state(tenant)
    refusal = await refusal_of(gateway.call(tenant, row.request))
    assert (refusal.code, refusal.reason, refusal.domain) == (row.code, row.reason, "nearcast")
    assert_well_formed(gateway, tenant, refusal, row.hidden)
    if row.code == "INVALID_ARGUMENT":
        field, reason, description = refusal.violations[0]
        assert (field, reason) == (row.field, row.reason)
        assert row.rule in description
        assert refusal.message == (f"{field}: {description}" if field else description)
    await assert_unharmed(gateway, tenant, before)


def assert_well_formed(
    gateway: Gateway, tenant: Tenant, refusal: Refusal, hidden: Sequence[str] = ()
) -> None:
    """Small enough to arrive, readable in a terminal, and silent about what is nobody's business."""
    assert 0 < refusal.detail_bytes < MOST_DETAIL_BYTES
    texts = [refusal.message, *refusal.metadata.values()]
    texts += [text for violation in refusal.violations for text in violation]
    assert all(text.isprintable() for text in texts)
    secrets = [*tenant.keys.values(), gateway.config.postgres.dsn, gateway.config.redis.geo_url, *hidden]
    for secret in secrets:
        assert not [text for text in texts if secret in text]
    assert not [text for text in texts if "Traceback" in text or "nearcast_server" in text]


async def assert_unharmed(gateway: Gateway, tenant: Tenant, before: tuple[int, ...]) -> None:
    """Nothing was written, and the next caller is answered."""
    assert await gateway.state(tenant) == before
    await gateway.call(tenant, nearby(1.0, 1.0))

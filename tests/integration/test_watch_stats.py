"""WatchStats on a real gateway and keeper: what changes is told soon, once it is true, and never missed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from typing import Any

import asyncpg
import grpc
import pytest

from nearcast.v1 import event_pb2, stats_pb2
from tests.audience import Audience, gather_audience
from tests.gateways import (
    Gateway,
    Refusal,
    Tenant,
    bearer,
    eventually,
    make_config,
    running_gateway,
    running_keeper,
)
from tests.services import new_database

SOON_S = 60.0
TOLD_WITHIN_S = 2.0
HEARTBEAT_S = 0.4
PATH = "/nearcast.v1.StatsService/WatchStats"
Counts = dict[str, dict[str, int]]

_numbers = count(1)


class Listener:
    """A watcher that remembers the latest of what it was told."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self.counts: Counts = {}
        self.told: list[stats_pb2.WatchStatsResponse] = []

    @property
    def token(self) -> str:
        return self.told[-1].resume_token

    async def hear(self) -> stats_pb2.WatchStatsResponse:
        """The next message."""
        try:
            async with asyncio.timeout(SOON_S):
                raw = await self._call.read()
        except grpc.aio.AioRpcError as error:
            raise Refusal.of(error) from None
        assert raw is not grpc.aio.EOF, "the stream has ended"
        message = stats_pb2.WatchStatsResponse.FromString(raw)
        self.told.append(message)
        for item in message.items:
            self.counts[item.item_id] = {kind.kind: kind.count for kind in item.kinds if kind.count}
        return message

    async def until(self, expected: Counts) -> None:
        """Listen until it knows that; it may know more."""
        async with asyncio.timeout(SOON_S):
            while not expected.items() <= self.counts.items():
                await self.hear()

    async def quiet(self) -> None:
        """Listen until there was nothing to tell: what was told before is not told again."""
        while (await self.hear()).items:
            pass

    def mentions(self) -> int:
        """How many values it was told."""
        return sum(len(message.items) for message in self.told)

    async def settled(self) -> None:
        """Listen until all was told."""
        while not (await self.hear()).settled:
            pass

    async def ended(self) -> stats_pb2.WatchStatsResponse:
        """The last message."""
        async with asyncio.timeout(SOON_S):
            while not (await self.hear()).ending:
                pass
            assert await self._call.read() is grpc.aio.EOF
            assert await self._call.code() is grpc.StatusCode.OK
        return self.told[-1]


@asynccontextmanager
async def watching(
    gateway: Gateway, tenant: Tenant, channel: grpc.aio.Channel | None = None, **fields: Any
) -> AsyncIterator[Listener]:
    """A stream that is cut at the end."""
    stream: Any = (channel or gateway.channel).unary_stream(
        PATH, request_serializer=None, response_deserializer=None
    )
    request = stats_pb2.WatchStatsRequest(**fields).SerializeToString()
    call = stream(request, metadata=bearer(tenant.keys["backend"]))
    try:
        yield Listener(call)
    finally:
        call.cancel()


@pytest.fixture(scope="module")
async def house(
    postgres_server: str, migrated_template: str, _redis_databases: Iterator[str]
) -> AsyncIterator[Gateway]:
    async with new_database(postgres_server, migrated_template) as dsn:
        config = make_config(dsn, next(_redis_databases), watch_heartbeat_s=HEARTBEAT_S, watchers_per_key=3)
        async with running_gateway(config) as gateway, running_keeper(config):
            yield gateway


@pytest.fixture
async def audience(house: Gateway) -> Audience:
    tenant = await house.new_tenant(f"watched-{next(_numbers)}")
    return await gather_audience(house, tenant, "bakery", "cinema", "museum")


async def known(house: Gateway, tenant: Tenant, expected: Counts) -> None:
    """Wait until the counts themselves are so."""

    async def counts() -> Counts:
        answer = await house.call(tenant, stats_pb2.GetStatsRequest())
        return {
            item.item_id: {kind.kind: kind.count for kind in item.kinds if kind.count}
            for item in answer.items
        }

    await eventually(counts, SOON_S, lambda found: found == expected)


async def test_a_change_is_told_within_two_seconds_as_get_stats_has_it(
    house: Gateway, audience: Audience
) -> None:
    """The best of three tries, as a busy machine may hold up any of them."""
    loop = asyncio.get_running_loop()
    took_s: list[float] = []
    async with watching(house, audience.tenant) as listener:
        first = await listener.hear()
        assert (list(first.items), first.settled, bool(first.resume_token)) == ([], True, True)
        assert first.feeds
        for people in range(1, 4):
            await audience.act("bakery")
            acknowledged_at = loop.time()
            await listener.until({"bakery": {"impression": people}})
            took_s.append(loop.time() - acknowledged_at)
        assert min(took_s) < TOLD_WITHIN_S
        await audience.act("bakery", kind="view")
        await listener.until({"bakery": {"impression": 4, "view": 1}})
        answer = await house.call(audience.tenant, stats_pb2.GetStatsRequest(item_ids=["bakery"]))
    told = next(message.items[0] for message in reversed(listener.told) if message.items)
    assert (told.item_id, told.posting, told.title) == ("bakery", audience.postings["bakery"], "Bakery")
    for mine, asked in zip(told.kinds, answer.items[0].kinds, strict=True):
        assert (mine.kind, mine.count) == (asked.kind, asked.count)
        assert mine.posterior_a == pytest.approx(asked.posterior_a, rel=1e-3)
        assert mine.posterior_b == pytest.approx(asked.posterior_b, rel=1e-3)


async def test_only_the_wished_items_are_told(house: Gateway, audience: Audience) -> None:
    async with watching(house, audience.tenant, item_ids=["cinema", "no-such"]) as listener:
        await listener.hear()
        await audience.act("bakery")
        await audience.act("cinema")
        await listener.until({"cinema": {"impression": 1}})
        assert {item.item_id for message in listener.told for item in message.items} == {"cinema"}


async def test_a_snapshot_comes_first_when_asked_for(house: Gateway, audience: Audience) -> None:
    everything = {"bakery": {"impression": 2}, "cinema": {"impression": 1}}
    await audience.act("bakery", people=2)
    await audience.act("cinema")
    await known(house, audience.tenant, everything)
    async with watching(house, audience.tenant) as later:
        assert not (await later.hear()).items
    async with watching(house, audience.tenant, snapshot=True) as listener:
        await listener.settled()
        assert listener.counts == everything
        await audience.act("museum")
        await listener.until({**everything, "museum": {"impression": 1}})
    async with watching(house, audience.tenant, snapshot=True, item_ids=["museum", "bakery"]) as listener:
        await listener.settled()
        assert listener.counts == {"bakery": {"impression": 2}, "museum": {"impression": 1}}


async def test_an_item_without_counts_is_in_the_snapshot_of_who_asks_for_it(
    house: Gateway, audience: Audience
) -> None:
    async with watching(house, audience.tenant, snapshot=True, item_ids=["museum"]) as listener:
        await listener.settled()
    (item,) = listener.told[0].items
    assert item.item_id == "museum"
    assert all(kind.posterior_b > 0 for kind in item.kinds if kind.kind != "impression")


async def test_whoever_resumes_misses_nothing_and_starts_no_snapshot(
    house: Gateway, audience: Audience
) -> None:
    await audience.act("museum")
    async with watching(house, audience.tenant, snapshot=True) as listener:
        await listener.until({"museum": {"impression": 1}})
        await audience.act("bakery")
        await listener.until({"bakery": {"impression": 1}})
        await listener.quiet()
    await audience.act("bakery", kind="view")
    await audience.act("cinema", people=5)
    # Whoever views a thing has seen it.
    expected = {"bakery": {"impression": 2, "view": 1}, "cinema": {"impression": 5}}
    await known(house, audience.tenant, {**expected, "museum": {"impression": 1}})
    async with watching(house, audience.tenant, resume_token=listener.token) as again:
        await again.until(expected)
        assert "museum" not in again.counts
        # An epoch may have been published between the two.
        before = listener.told[-1].policy_epoch
        assert not any(message.feeds for message in again.told if message.policy_epoch == before)
        await audience.act("bakery", kind="save")
        await again.until({"bakery": {"impression": 3, "view": 1, "save": 1}})


async def test_whoever_resumes_is_told_what_came_while_a_transaction_held_the_horizon(
    house: Gateway, audience: Audience
) -> None:
    long = await asyncpg.connect(house.config.postgres.dsn)
    try:
        async with long.transaction():
            await long.execute("select pg_current_xact_id()")
            async with watching(house, audience.tenant) as listener:
                await listener.hear()
                await audience.act("bakery")
                await listener.until({"bakery": {"impression": 1}})
                await listener.quiet()
            async with watching(house, audience.tenant) as other:
                await other.hear()
                await audience.act("museum")
                await other.until({"museum": {"impression": 1}})
            async with watching(house, audience.tenant, resume_token=listener.token) as again:
                await again.until({"museum": {"impression": 1}})
    finally:
        await long.close()


@pytest.mark.parametrize("cut", [False, True], ids=["while it listens", "while it is cut off"])
async def test_a_late_committer_is_not_missed(house: Gateway, audience: Audience, cut: bool) -> None:
    """A keeper whose transaction began first and commits last."""
    tenant = audience.tenant
    late = await asyncpg.connect(house.config.postgres.dsn)
    try:
        async with AsyncExitStack() as stack:
            listener = await stack.enter_async_context(watching(house, tenant))
            await listener.hear()
            transaction = late.transaction()
            await transaction.start()
            await late.execute(
                "insert into item_counts values ($1, $2, 0, 1, 490000, 1, 2, false, 7)",
                tenant.tenant_id,
                audience.postings["museum"],
            )
            await audience.act("bakery")
            await listener.until({"bakery": {"impression": 1}})
            await audience.act("cinema")
            await listener.until({"bakery": {"impression": 1}, "cinema": {"impression": 1}})
            assert all(len(message.items) <= 1 for message in listener.told), "nothing was told twice"
            if not cut:
                await transaction.commit()
                await listener.until(
                    {"bakery": {"impression": 1}, "cinema": {"impression": 1}, "museum": {"impression": 7}}
                )
        if cut:
            await transaction.commit()
            async with watching(house, tenant, resume_token=listener.token) as again:
                await again.until({"museum": {"impression": 7}})
    finally:
        await late.close()


async def test_a_slow_reader_gets_the_latest_and_not_what_was_between(house: Gateway) -> None:
    """One who reads nothing while another one, who reads along, is told of every round."""
    names = [f"stall-{number:03d}" for number in range(200)]
    crowd = await gather_audience(house, await house.new_tenant("fair"), *names)
    rounds = 12
    narrow = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]
    async with (
        grpc.aio.insecure_channel(house.address, options=narrow) as channel,
        watching(house, crowd.tenant) as quick,
        watching(house, crowd.tenant, channel) as slow,
    ):
        await quick.hear()
        await slow.hear()
        for seen in range(1, rounds + 1):
            await crowd.act(*names)
            await quick.until({name: {"impression": seen} for name in names})
        await slow.until({name: {"impression": rounds} for name in names})
    assert quick.mentions() >= rounds * len(names)
    assert slow.mentions() < quick.mentions() / 2


async def test_tenants_hear_nothing_of_each_other(house: Gateway, audience: Audience) -> None:
    other = await gather_audience(house, await house.new_tenant(f"other-{next(_numbers)}"), "bakery")
    async with (
        watching(house, audience.tenant, snapshot=True) as mine,
        watching(house, other.tenant, snapshot=True) as theirs,
    ):
        await mine.hear()
        await theirs.hear()
        await audience.act("bakery", people=2)
        await other.act("bakery", people=3)
        await mine.until({"bakery": {"impression": 2}})
        await theirs.until({"bakery": {"impression": 3}})
        for listener, own in ((mine, audience), (theirs, other)):
            told = {item.posting for message in listener.told for item in message.items}
            assert told == {own.postings["bakery"]}
    with pytest.raises(Refusal) as raised:
        async with watching(house, other.tenant, resume_token=mine.token) as thief:
            await thief.hear()
    assert (raised.value.code, raised.value.reason) == ("INVALID_ARGUMENT", "RESUME_TOKEN_INVALID")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"resume_token": "AAAA"}, "RESUME_TOKEN_INVALID"),
        ({"item_ids": ["a"] * 501}, "LIST_TOO_LONG"),
        ({"item_ids": [""]}, "ID_LENGTH"),
        ({"item_ids": ["a\0b"]}, "ID_CHARSET"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_cannot_be_watched_is_refused(
    house: Gateway, audience: Audience, fields: dict[str, Any], reason: str
) -> None:
    with pytest.raises(Refusal) as raised:
        async with watching(house, audience.tenant, **fields) as listener:
            await listener.hear()
    assert (raised.value.code, raised.value.reason) == ("INVALID_ARGUMENT", reason)


async def test_a_token_is_for_the_items_it_was_made_for(house: Gateway, audience: Audience) -> None:
    async with watching(house, audience.tenant, item_ids=["cinema", "bakery"]) as listener:
        await listener.hear()
    async with watching(
        house, audience.tenant, item_ids=["bakery", "cinema"], resume_token=listener.token
    ) as same:
        await same.hear()
    with pytest.raises(Refusal) as raised:
        async with watching(house, audience.tenant, resume_token=listener.token) as other:
            await other.hear()
    assert raised.value.reason == "RESUME_TOKEN_INVALID"


async def test_a_silent_stream_says_that_it_lives(house: Gateway, audience: Audience) -> None:
    loop = asyncio.get_running_loop()
    async with watching(house, audience.tenant) as listener:
        began, silent = loop.time(), 0
        while silent < 3:
            message = await listener.hear()
            assert not message.items
            assert message.settled
            assert message.resume_token
            # The first policy epoch may be published meanwhile, which is something to tell.
            began, silent = (loop.time(), 0) if message.feeds else (began, silent + 1)
        assert loop.time() - began >= 2 * HEARTBEAT_S


async def test_a_key_may_not_hold_more_watchers_than_allowed(house: Gateway, audience: Audience) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await (await stack.enter_async_context(watching(house, audience.tenant))).hear()
        assert "nearcast_server_watchers_open 3.0" in await house.metrics()
        with pytest.raises(Refusal) as raised:
            async with watching(house, audience.tenant) as listener:
                await listener.hear()
        assert (raised.value.code, raised.value.reason) == ("RESOURCE_EXHAUSTED", "STREAM_LIMIT")
        assert raised.value.metadata["max"] == "3"

    async def opens() -> bool:
        try:
            async with watching(house, audience.tenant) as listener:
                await listener.hear()
        except Refusal:
            return False
        return True

    await eventually(opens, SOON_S)


async def test_a_revoked_key_ends_what_it_watches(house: Gateway, audience: Audience) -> None:
    keys = await house.store.keys(audience.tenant.tenant_id)
    async with watching(house, audience.tenant) as listener:
        await listener.hear()
        await house.store.revoke_key(
            audience.tenant.tenant_id, next(key.key_id for key in keys if key.role == "backend")
        )
        with pytest.raises(Refusal) as raised:
            await listener.until({"nothing": {}})
    assert (raised.value.code, raised.value.reason) == ("UNAUTHENTICATED", "CREDENTIALS_EXPIRED")


async def test_an_app_may_not_watch(house: Gateway, audience: Audience) -> None:
    apps = Tenant(audience.tenant.tenant_id, "", {"backend": audience.tenant.keys["client"]})
    with pytest.raises(Refusal) as raised:
        async with watching(house, apps) as listener:
            await listener.hear()
    assert raised.value.reason == "INSUFFICIENT_SCOPE"


async def test_a_stream_ends_at_its_age_or_the_stop_with_a_token_that_goes_on(
    house: Gateway, audience: Audience
) -> None:
    stop = asyncio.Event()
    dsn, url = house.config.postgres.dsn, house.config.redis.geo_url
    short = make_config(dsn, url, stream_max_age_s=0.5)
    async with running_gateway(short, house.config) as aging:
        await eventually(lambda: aging.reason_of(audience.tenant, stats_pb2.GetStatsRequest()), SOON_S, _none)
        async with watching(aging, audience.tenant) as listener:
            assert (await listener.ended()).ending == event_pb2.STREAM_END_AGE
    long = make_config(dsn, url)
    async with running_gateway(long, house.config, stop) as draining:
        await eventually(
            lambda: draining.reason_of(audience.tenant, stats_pb2.GetStatsRequest()), SOON_S, _none
        )
        await audience.act("cinema")
        async with watching(draining, audience.tenant, resume_token=listener.token) as second:
            await second.until({"cinema": {"impression": 1}})
            stop.set()
            assert (await second.ended()).ending == event_pb2.STREAM_END_DRAIN
    await audience.act("bakery")
    async with watching(house, audience.tenant, resume_token=second.token) as third:
        await third.until({"bakery": {"impression": 1}})


def _none(reason: str) -> bool:
    return reason == ""

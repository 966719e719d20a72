"""Items around three points, by seed: about 40, 400 and 8,000 within reach of one question each."""

import asyncio
import random
from collections.abc import Iterator

import grpc

from benchmarks.events.house import House, Process
from nearcast.v1 import catalog_pb2, catalog_pb2_grpc, item_pb2, location_pb2, person_pb2, recommend_pb2
from nearcast_ledger.hashing import subject_hash
from nearcast_store import redis_keys
from nearcast_store.connection import RedisConnection
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import open_pool
from nearcast_store.seen.protocol import Sightings
from nearcast_store.seen.redis import RedisSeenStore

SEED = 20_260_101
SIZES = (40, 400, 8_000)
LATITUDES = (40.0, 50.0, 60.0)
LONGITUDE, RADIUS_M, SPREAD_DEGREES = 10.0, 5_000.0, 0.03
LIMIT = 20
PEOPLE, SEEN = 64, 100
_BATCH = 500
_WORDS = ["oak", "river", "lamp", "cloud", "stone", "bread", "violet", "harbour", "copper", "meadow"]


def items() -> Iterator[item_pb2.Item]:
    rng = random.Random(SEED)
    for size, latitude in zip(SIZES, LATITUDES, strict=True):
        for number in range(size):
            yield item_pb2.Item(
                item_id=f"item-{size}-{number}",
                title=" ".join(rng.choices(_WORDS, k=5)),
                url=f"https://example.com/items/{size}/{number}",
                image_url=f"https://example.com/pictures/{rng.getrandbits(64):016x}.jpg",
                category=rng.choice(_WORDS),
                owner=f"owner-{rng.randrange(100)}",
                tags=[item_pb2.Tag(name=name) for name in rng.sample(_WORDS, 3)],
                attributes={"salary": str(rng.randrange(10**5)), "hours": str(rng.randrange(40))},
                locations=[
                    location_pb2.LatLng(
                        latitude=latitude + rng.uniform(-SPREAD_DEGREES, SPREAD_DEGREES),
                        longitude=LONGITUDE + rng.uniform(-SPREAD_DEGREES, SPREAD_DEGREES),
                    )
                ],
            )


def question(size: int, **other: object) -> recommend_pb2.RecommendRequest:
    """To which about so many items are candidates."""
    latitude = LATITUDES[SIZES.index(size)]
    return recommend_pb2.RecommendRequest(
        location=location_pb2.LatLng(latitude=latitude, longitude=LONGITUDE),
        radius_m=RADIUS_M,
        limit=LIMIT,
        **other,  # type: ignore[arg-type]
    )


def anonymous(size: int) -> list[bytes]:
    """Of a person nobody knows."""
    return [question(size).SerializeToString()]


def signed_in(size: int) -> list[bytes]:
    """Of people in turn, who want to see nothing twice."""
    return [
        question(
            size, person=person_pb2.Person(user_id=f"user-{number}"), exclude_seen=True
        ).SerializeToString()
        for number in range(PEOPLE)
    ]


async def fill(house: House, gateway: Process) -> None:
    """Put the items, and wait until a keeper has carried all of them to the index."""
    async with grpc.aio.insecure_channel(house.address(gateway)) as channel:
        catalog = catalog_pb2_grpc.CatalogServiceStub(channel)
        listed = list(items())
        for start in range(0, len(listed), _BATCH):
            request = catalog_pb2.UpsertItemsRequest(items=listed[start : start + _BATCH])
            await catalog.UpsertItems(request, metadata=house.metadata)
    keeper = await house.start("keeper", "keeper")
    redis = RedisConnection(house.endpoints.redis_url)
    async with asyncio.timeout(120.0):
        carried = 0
        while carried < len(listed):
            carried = await _carried(redis, house.tenant_id)
            await asyncio.sleep(0.1)
    await redis.close()
    house.stop(keeper)


async def remember(house: House, postings: dict[str, int], now_ms: int) -> None:
    """Each person has seen a hundred of the 400."""
    pool = await open_pool(house.endpoints.postgres_dsn, 1, 5.0)
    keyring = await PostgresPolicyStore(pool).keyring(house.tenant_id)
    await pool.close()
    rng, redis = random.Random(SEED), RedisConnection(house.endpoints.redis_url)
    hour_ms, there = 3_600_000, [posting for name, posting in postings.items() if "-400-" in name]
    await RedisSeenStore(redis).add(
        [
            Sightings(
                house.tenant_id,
                subject_hash(keyring.signing_key.secret, f"user-{number}", ""),
                dict.fromkeys(rng.sample(there, SEEN), now_ms),
                SEEN,
                now_ms - hour_ms,
                hour_ms,
            )
            for number in range(PEOPLE)
        ]
    )
    await redis.close()


async def _carried(redis: RedisConnection, tenant_id: int) -> int:
    return int(await redis.execute("ZCARD", redis_keys.geo(tenant_id)))

"""People who see things and act on them, through a real gateway."""

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from nearcast.v1 import catalog_pb2, event_pb2
from nearcast_ledger.claims import UNKNOWN_HASH, Claims
from nearcast_ledger.requestid import RequestIds
from nearcast_ledger.rewardtoken import RewardTokens
from nearcast_store.catalog.postgres import PostgresCatalogStore
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.gateways import Gateway, Tenant, item

_request_ids = RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes)


@dataclass(frozen=True)
class Audience:
    """Of some items of one tenant: everyone sees an item on a slate of their own."""

    gateway: Gateway
    tenant: Tenant
    tokens: RewardTokens
    postings: Mapping[str, int]

    async def act(self, *item_ids: str, kind: str = "impression", people: int = 1) -> None:
        """So many people do this to each of the items; returns once it is acknowledged."""
        events = [
            event_pb2.Event(kind=kind, reward_token=self._token(self.postings[item_id]))
            for item_id in item_ids
            for _ in range(people)
        ]
        for batch in (events[start : start + 500] for start in range(0, len(events), 500)):
            answer = await self.gateway.call(self.tenant, event_pb2.RecordEventsRequest(events=batch))
            assert all(result.learned for result in answer.results), answer

    def _token(self, posting: int) -> str:
        return self.tokens.sign(
            Claims(
                tenant_id=self.tenant.tenant_id,
                request_id=UUID(str(_request_ids.next())),
                posting=posting,
                position=1,
                feed=2,
                feed_propensity=0.5,
                scenario=1,
                market=0,
                policy_revision=1,
                policy_epoch=0,
                explore=False,
                subject_hash=UNKNOWN_HASH,
                session_hash=UNKNOWN_HASH,
            )
        )


async def gather_audience(gateway: Gateway, tenant: Tenant, *item_ids: str) -> Audience:
    """The items are made."""
    items = [item(item_id, title=item_id.title()) for item_id in item_ids]
    await gateway.call(tenant, catalog_pb2.UpsertItemsRequest(items=items))
    postings = await PostgresCatalogStore(gateway.pool).current_postings(tenant.tenant_id, item_ids)
    keyring = await PostgresPolicyStore(gateway.pool, time.time).keyring(tenant.tenant_id)
    return Audience(gateway, tenant, RewardTokens(keyring), dict(postings))

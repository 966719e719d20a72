"""Which tenants there are and what each has set, as known a moment ago."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from nearcast_config.policy import Kind, Seen
from nearcast_config.policytext import default_policy
from nearcast_ledger.kinds import BUILT_IN_KIND_NUMBERS
from nearcast_statskeeper.folding import Leaving, Rewarding
from nearcast_statskeeper.pacing import Clock
from nearcast_store.errors import UnreadablePolicyError
from nearcast_store.policies.protocol import PolicyStore, Revision
from nearcast_store.tenants.protocol import TenantStore
from nearcast_telemetry.logs import logger

TENANTS_STALE_S = 1.0
SETTINGS_STALE_S = 5.0
_MOST_KNOWN = 10_000
_BUILT_IN = {BUILT_IN_KIND_NUMBERS[slug]: kind.rewards_feed for slug, kind in default_policy().kinds.items()}
_OTHERWISE = Kind().rewards_feed


class Meaning(NamedTuple):
    """What the kinds of one revision mean: whether each rewards a feed, and at which people leave."""

    rewards: Mapping[int, bool]
    leave: frozenset[int]


_UNKNOWN = Meaning({}, frozenset())

log = logger("keeper.roster")


class Roster:
    """Asks Postgres now and then; tenants are known a second late. Raises StoreUnavailableError."""

    def __init__(self, tenants: TenantStore, policies: PolicyStore, clock: Clock) -> None:
        self._tenants = tenants
        self._policies = policies
        self._clock = clock
        self._ids: tuple[int, ...] = ()
        self._ids_read_at: float | None = None
        self._meanings: dict[tuple[int, int], Meaning] = {}
        self._seen: dict[int, tuple[Seen, float]] = {}

    async def tenant_ids(self) -> tuple[int, ...]:
        """Every tenant, also while it is suspended."""
        if self._ids_read_at is None or self._is_older(self._ids_read_at, TENANTS_STALE_S):
            self._ids = tuple(tenant_id for tenant_id, _ in await self._tenants.everyone())
            self._ids_read_at = self._clock()
        return self._ids

    async def seen(self, tenant_id: int) -> Seen:
        """What the tenant wants remembered of what people have seen; known some seconds late."""
        known = self._seen.get(tenant_id)
        if known is None or self._is_older(known[1], SETTINGS_STALE_S):
            known = ((await self._policies.current(tenant_id)).policy.seen, self._clock())
            self._seen[tenant_id] = known
        return known[0]

    async def judges(self, answers: Iterable[tuple[int, int]]) -> tuple[Rewarding, Leaving]:
        """They judge each event by the revision of its decision, given with the tenant.

        That never changes, so it does not matter when an event is folded, or how often.
        """
        meanings = {place: await self._meaning_of(*place) for place in set(answers)}

        def rewarding(tenant_id: int, revision: int, kind: int) -> bool:
            known = meanings.get((tenant_id, revision), _UNKNOWN).rewards
            return known.get(kind, _BUILT_IN.get(kind, _OTHERWISE))

        def leaving(tenant_id: int, revision: int) -> frozenset[int]:
            return meanings.get((tenant_id, revision), _UNKNOWN).leave

        return rewarding, leaving

    async def _meaning_of(self, tenant_id: int, number: int) -> Meaning:
        """Of the last revision up to that number which this version can read; what it cannot is said once."""
        if len(self._meanings) > _MOST_KNOWN:
            self._meanings.clear()
        passed = []
        while number > 0 and (tenant_id, number) not in self._meanings:
            passed.append((tenant_id, number))
            try:
                revision = await self._policies.revision(tenant_id, number)
            except UnreadablePolicyError as error:
                log.error("policy.unreadable", tenant_id=tenant_id, revision=number, reason=error)
                number -= 1
                continue
            if revision is None:  # not remembered: a backup may lack what another one brings back
                return _UNKNOWN
            self._meanings[tenant_id, number] = _meaning_in(revision)
        meaning = self._meanings.get((tenant_id, number), _UNKNOWN)
        self._meanings |= dict.fromkeys(passed, meaning)
        return meaning

    def _is_older(self, read_at: float, most_s: float) -> bool:
        # A clock that was set back must not make what is known look fresh for ever.
        return not 0 <= self._clock() - read_at <= most_s


def _meaning_in(revision: Revision) -> Meaning:
    rewards = {
        revision.kinds[slug]: kind.rewards_feed
        for slug, kind in revision.policy.kinds.items()
        if slug in revision.kinds
    }
    return Meaning(rewards, kinds_left_at(revision))


def kinds_left_at(revision: Revision) -> frozenset[int]:
    """The kinds at which people leave an answer; none where they do not read it from the top."""
    exposure, kinds = revision.policy.exposure, revision.policy.kinds
    if exposure.mode != "cascade":
        return frozenset()
    names = exposure.stops_at or [slug for slug, kind in kinds.items() if kind.weight > 0]
    return frozenset(revision.kinds[slug] for slug in names if slug in revision.kinds)

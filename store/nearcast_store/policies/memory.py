"""Revisions, epochs and signing keys in memory, for the simulation and for tests."""

import secrets
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from nearcast_config.policy import Policy
from nearcast_config.policytext import default_policy, policy_checksum, policy_from_json, policy_to_json
from nearcast_ledger.keyring import Keyring
from nearcast_store.errors import DataRefusedError, RequestReusedError, RevisionChangedError
from nearcast_store.policies.numbering import missing_numbers, revision_of
from nearcast_store.policies.protocol import FREELY, Epoch, Realm, Revision, RevisionNote, Terms
from nearcast_store.policies.rotation import KeptKey, keyring_of, rotation_of

_SECRET_BYTES = 32


class MemoryPolicyStore:
    """See PolicyStore. `clock` gives unix seconds, `random_bytes(n)` the secrets; every tenant exists."""

    def __init__(
        self,
        clock: Callable[[], float],
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        first: Policy | None = None,
    ) -> None:
        self._clock = clock
        self._random_bytes = random_bytes
        self._first = default_policy() if first is None else first
        self._revisions: dict[int, list[Revision]] = defaultdict(list)
        self._notes: dict[int, list[RevisionNote]] = defaultdict(list)
        self._requests: dict[tuple[int, str], tuple[bytes, Revision]] = {}
        self._numbers: dict[int, dict[Realm, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
        self._epochs: dict[int, dict[int, Epoch]] = defaultdict(dict)
        self._keys: dict[int, list[KeptKey]] = defaultdict(list)

    async def current(self, tenant_id: int) -> Revision:
        """The revision in force."""
        if not self._revisions[tenant_id]:
            await self.apply(tenant_id, self._first, "system", "")
        return self._revisions[tenant_id][-1]

    async def revision(self, tenant_id: int, number: int) -> Revision | None:
        """By number."""
        revisions = self._revisions[tenant_id]
        return revisions[number - 1] if 1 <= number <= len(revisions) else None

    async def apply(
        self, tenant_id: int, policy: Policy, author: str, note: str, terms: Terms = FREELY
    ) -> Revision:
        """Requests are never forgotten."""
        known = self._requests.get((tenant_id, terms.request_id))
        if known is not None:
            if known[0] != terms.asked:
                raise RequestReusedError
            return known[1]
        if terms.expected not in (0, len(self._revisions[tenant_id])):
            raise RevisionChangedError(len(self._revisions[tenant_id]))
        revision = self._applied(tenant_id, policy, author, note)
        if terms.request_id:
            self._requests[tenant_id, terms.request_id] = (terms.asked, revision)
        return revision

    async def revisions(self, tenant_id: int, below: int, most: int) -> list[RevisionNote]:
        """The newest first."""
        return [note for note in reversed(self._notes[tenant_id]) if note.number < below][:most]

    def _applied(self, tenant_id: int, policy: Policy, author: str, note: str) -> Revision:
        policy = policy_from_json(policy_to_json(policy), "policy")
        revisions = self._revisions[tenant_id]
        if revisions and policy_to_json(revisions[-1].policy) == policy_to_json(policy):
            return revisions[-1]
        numbers = self._numbers[tenant_id]
        for realm, slug, number in missing_numbers(numbers, policy):
            numbers[realm][slug] = number
        revision = revision_of(tenant_id, len(revisions) + 1, policy, numbers)
        revisions.append(revision)
        self._notes[tenant_id].append(
            RevisionNote(revision.number, author, note, policy_checksum(policy), self._clock())
        )
        return revision

    async def latest_epoch(self, tenant_id: int) -> Epoch | None:
        """By number."""
        epochs = self._epochs[tenant_id]
        return epochs[max(epochs)] if epochs else None

    async def epochs_since(self, tenant_id: int, published_after: float) -> list[Epoch]:
        """By number."""
        epochs = sorted(self._epochs[tenant_id].items())
        return [epoch for _, epoch in epochs if epoch.published_at > published_after]

    async def publish(self, epoch: Epoch) -> None:
        """DataRefusedError when the number is taken or there is no such revision."""
        if epoch.number in self._epochs[epoch.tenant_id] or epoch.number < 1:
            raise DataRefusedError(f"epoch {epoch.number} of tenant {epoch.tenant_id} is not new")
        if not await self.revision(epoch.tenant_id, epoch.policy_revision):
            raise DataRefusedError(f"tenant {epoch.tenant_id} has no revision {epoch.policy_revision}")
        self._epochs[epoch.tenant_id][epoch.number] = epoch

    async def keyring(self, tenant_id: int) -> Keyring:
        """Also the keys that are retired but may still have to verify."""
        return keyring_of(self._keys[tenant_id], self._clock()) or await self.rotate(tenant_id)

    async def rotate(self, tenant_id: int) -> Keyring:
        """StoreError when all 255 ids are in use."""
        now = self._clock()
        rotation = rotation_of(self._keys[tenant_id], self._random_bytes(_SECRET_BYTES), now)
        kept = [
            replace(key, retired_at=now) if key.key_id in rotation.retired else key
            for key in self._keys[tenant_id]
            if key.key_id not in rotation.forgotten
        ]
        self._keys[tenant_id] = [*kept, rotation.new]
        keyring = keyring_of(self._keys[tenant_id], now)
        assert keyring is not None
        return keyring

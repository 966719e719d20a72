"""Revisions, epochs and signing keys in Postgres."""

import secrets
import time
from collections import defaultdict
from collections.abc import Callable

from asyncpg import Record

from nearcast_config.policy import Policy
from nearcast_config.policytext import default_policy, policy_checksum, policy_from_json, policy_to_json
from nearcast_config.problems import SettingsError
from nearcast_ledger.keyring import Keyring
from nearcast_store.errors import (
    DataRefusedError,
    RequestReusedError,
    RevisionChangedError,
    UnreadablePolicyError,
)
from nearcast_store.policies.numbering import Numbers, missing_numbers, revision_of
from nearcast_store.policies.protocol import FREELY, Epoch, Realm, Revision, RevisionNote, Terms
from nearcast_store.policies.rotation import KeptKey, keyring_of, rotation_of
from nearcast_store.policies.shares import (
    items_from_json,
    items_to_json,
    segments_from_json,
    segments_to_json,
    shares_from_json,
    shares_to_json,
)
from nearcast_store.postgres import Connection, Pool
from nearcast_store.queries import queries

_POLICIES = queries("policies")
_TENANTS = queries("tenants")
_SECRET_BYTES = 32
# Whoever sends a change again does so sooner.
_REQUESTS_KEPT_S = 30 * 86_400.0


class PostgresPolicyStore:
    """See PolicyStore; `first` becomes revision 1 of a tenant that has none, `clock` gives unix seconds."""

    def __init__(
        self, pool: Pool, clock: Callable[[], float] = time.time, first: Policy | None = None
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._first = default_policy() if first is None else first
        # By tenant: what was in force last, and the text it was read from; every gateway asks twice a second.
        self._read: dict[int, tuple[str, Revision]] = {}

    async def current(self, tenant_id: int) -> Revision:
        """DataRefusedError when there is no such tenant."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_POLICIES["read_revision"], tenant_id)
            if row is not None:
                body, known = self._read.get(tenant_id, ("", None))
                if known is None or (known.number, body) != (row["revision"], row["body"]):
                    known = _revision_of(tenant_id, row, await _numbers(connection, tenant_id))
                    self._read[tenant_id] = (row["body"], known)
                return known
        return await self._apply(tenant_id, self._first, "system", "", None)

    async def revision(self, tenant_id: int, number: int) -> Revision | None:
        """Also of a tenant that is not there: it has none."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_POLICIES["read_numbered_revision"], tenant_id, number)
            if row is None:
                return None
            return _revision_of(tenant_id, row, await _numbers(connection, tenant_id))

    async def apply(
        self, tenant_id: int, policy: Policy, author: str, note: str, terms: Terms = FREELY
    ) -> Revision:
        """Equal policies are the same policy, in whatever order they name things."""
        return await self._apply(tenant_id, policy, author, note, terms)

    async def propose(self, tenant_id: int, policy: Policy, author: str, note: str) -> Revision:
        """A revision of the next number that is not in force and never will be."""
        policy = policy_from_json(policy_to_json(policy), "policy")
        body, checksum, now = policy_to_json(policy), policy_checksum(policy), self._clock()
        async with self._pool.transaction() as connection:
            await _lock(connection, tenant_id)
            numbers = await _register(connection, tenant_id, policy)
            number = await _next_number(connection, tenant_id)
            await connection.execute(
                _POLICIES["add_revision"], tenant_id, number, body, checksum, author, note, now, True
            )
        return revision_of(tenant_id, number, policy, numbers)

    async def revisions(self, tenant_id: int, below: int, most: int) -> list[RevisionNote]:
        """The newest first."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_POLICIES["list_revisions"], tenant_id, below, most)
        return [
            RevisionNote(
                row["revision"],
                row["author"],
                row["note"],
                row["checksum"],
                row["created_at"],
                row["contender"],
            )
            for row in rows
        ]

    async def latest_epoch(self, tenant_id: int) -> Epoch | None:
        """By number."""
        async with self._pool.connection() as connection:
            row = await connection.fetchrow(_POLICIES["read_latest_epoch"], tenant_id)
        return None if row is None else _epoch_of(tenant_id, row)

    async def epochs_since(self, tenant_id: int, published_after: float) -> list[Epoch]:
        """By number."""
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_POLICIES["list_epochs_since"], tenant_id, published_after)
        return [_epoch_of(tenant_id, row) for row in rows]

    async def publish(self, epoch: Epoch) -> None:
        """DataRefusedError when the number is taken or there is no such revision."""
        async with self._pool.connection() as connection:
            await connection.execute(
                _POLICIES["add_epoch"],
                epoch.tenant_id,
                epoch.number,
                epoch.policy_revision,
                shares_to_json(epoch.shares),
                epoch.published_at,
                segments_to_json(epoch.segments),
                items_to_json(epoch.items),
            )

    async def keyring(self, tenant_id: int) -> Keyring:
        """Also the keys that are retired but may still have to verify."""
        async with self._pool.connection() as connection:
            keyring = keyring_of(await _keys(connection, tenant_id), self._clock())
        return keyring or await self._rotate(tenant_id, only_first=True)

    async def rotate(self, tenant_id: int) -> Keyring:
        """StoreError when all 255 ids are in use."""
        return await self._rotate(tenant_id, only_first=False)

    async def _apply(
        self, tenant_id: int, policy: Policy, author: str, note: str, terms: Terms | None
    ) -> Revision:
        """Without terms only when there is no revision yet."""
        policy = policy_from_json(policy_to_json(policy), "policy")
        body, checksum, now = policy_to_json(policy), policy_checksum(policy), self._clock()
        async with self._pool.transaction() as connection:
            await _lock(connection, tenant_id)
            current = await connection.fetchrow(_POLICIES["read_revision"], tenant_id)
            if current and terms is None:
                return _revision_of(tenant_id, current, await _numbers(connection, tenant_id))
            terms = terms or FREELY
            told = await _told(connection, tenant_id, terms, current["revision"] if current else 0)
            if told is not None:
                return _revision_of(tenant_id, told, await _numbers(connection, tenant_id))
            if current and current["checksum"] == checksum:
                await _note_request(connection, tenant_id, terms, current["revision"], now)
                return _revision_of(tenant_id, current, await _numbers(connection, tenant_id))
            numbers = await _register(connection, tenant_id, policy)
            number = await _next_number(connection, tenant_id)
            await connection.execute(
                _POLICIES["add_revision"], tenant_id, number, body, checksum, author, note, now, False
            )
            await _note_request(connection, tenant_id, terms, number, now)
        return revision_of(tenant_id, number, policy, numbers)

    async def _rotate(self, tenant_id: int, *, only_first: bool) -> Keyring:
        now = round(self._clock(), 6)
        async with self._pool.transaction() as connection:
            await _lock(connection, tenant_id)
            keys = await _keys(connection, tenant_id)
            keyring = keyring_of(keys, now)
            if not (only_first and keyring):
                rotation = rotation_of(keys, secrets.token_bytes(_SECRET_BYTES), now)
                new = rotation.new
                await connection.execute(_POLICIES["forget_signing_keys"], tenant_id, rotation.forgotten)
                await connection.execute(_POLICIES["retire_signing_keys"], tenant_id, rotation.retired, now)
                await connection.execute(
                    _POLICIES["add_signing_key"], tenant_id, new.key_id, new.secret, new.created_at
                )
                keyring = keyring_of(await _keys(connection, tenant_id), now)
        assert keyring is not None
        return keyring


async def _lock(connection: Connection, tenant_id: int) -> None:
    """Whoever changes what a tenant has set waits for whoever does so already."""
    if await connection.fetchval(_TENANTS["lock_tenant"], tenant_id) is None:
        raise DataRefusedError(f"there is no tenant {tenant_id}")


async def _next_number(connection: Connection, tenant_id: int) -> int:
    return (await connection.fetchval(_POLICIES["read_newest_number"], tenant_id) or 0) + 1


async def _told(connection: Connection, tenant_id: int, terms: Terms, in_force: int) -> Record | None:
    """The revision that the same request led to before. Raises RevisionChangedError, RequestReusedError."""
    known = None
    if terms.request_id:
        known = await connection.fetchrow(_POLICIES["read_policy_request"], tenant_id, terms.request_id)
    if known is None:
        if terms.expected not in (0, in_force):
            raise RevisionChangedError(in_force)
        return None
    if known["asked"] != terms.asked:
        raise RequestReusedError
    return await connection.fetchrow(_POLICIES["read_numbered_revision"], tenant_id, known["revision"])


async def _note_request(
    connection: Connection, tenant_id: int, terms: Terms, revision: int, now: float
) -> None:
    if terms.request_id:
        await connection.execute(_POLICIES["forget_policy_requests"], tenant_id, now - _REQUESTS_KEPT_S)
        await connection.execute(
            _POLICIES["add_policy_request"], tenant_id, terms.request_id, terms.asked, revision, now
        )


def _revision_of(tenant_id: int, row: Record, numbers: Numbers) -> Revision:
    try:
        policy = policy_from_json(row["body"], f"revision {row['revision']}")
    except SettingsError as error:
        raise UnreadablePolicyError(
            f"policy revision {row['revision']} of tenant {tenant_id} is of another version of nearcast:"
            f" {error}\nStart that version, or apply a policy that this one knows."
        ) from error
    return revision_of(tenant_id, row["revision"], policy, numbers)


async def _numbers(connection: Connection, tenant_id: int) -> Numbers:
    numbers: defaultdict[Realm, dict[str, int]] = defaultdict(dict)
    for row in await connection.fetch(_POLICIES["list_slugs"], tenant_id):
        numbers[row["realm"]][row["slug"]] = row["number"]
    return numbers


async def _register(connection: Connection, tenant_id: int, policy: Policy) -> Numbers:
    if missing := missing_numbers(await _numbers(connection, tenant_id), policy):
        await connection.execute(_POLICIES["add_slugs"], tenant_id, *zip(*missing, strict=True))
    return await _numbers(connection, tenant_id)


async def _keys(connection: Connection, tenant_id: int) -> list[KeptKey]:
    rows = await connection.fetch(_POLICIES["list_signing_keys"], tenant_id)
    return [KeptKey(row["key_id"], row["secret"], row["created_at"], row["retired_at"]) for row in rows]


def _epoch_of(tenant_id: int, row: Record) -> Epoch:
    return Epoch(
        tenant_id,
        row["epoch"],
        row["policy_revision"],
        shares_from_json(row["shares"]),
        row["published_at"],
        segments_from_json(row["segments"]),
        items_from_json(row["items"]),
    )

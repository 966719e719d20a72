"""What the person who asks has seen lately, where that is to be left out or to fade."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from nearcast_ledger.hashing import subject_hash
from nearcast_server.asking import RecommendQuery
from nearcast_server.tenancy import View
from nearcast_store.errors import SeenUnavailableError

_MS_PER_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Recalled:
    """Postings to leave out, and those to fade; `unknown`: they could not be read, so there are none."""

    postings: frozenset[int] = frozenset()
    unknown: bool = False
    faded: frozenset[int] = frozenset()


NOTHING = Recalled()


class Seen(Protocol):
    """Where what people have seen is read. Raises SeenUnavailableError."""

    async def seen_since(
        self, tenant_id: int, subject_hashes: Sequence[bytes], since_ms: int, most: int
    ) -> frozenset[int]:
        """Postings shown to a person known by these hashes, of each the last `most`; the last is in use."""
        ...


class Recall:
    """Asks what is kept of a person."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def recall(self, view: View, query: RecommendQuery, now: float) -> Recalled:
        """Of the person of this query, within the bounds of the policy; the scenario is known to exist."""
        policy, person = view.revision.policy, query.person
        way = policy.scenarios[query.scenario or "default"].seen_way
        if query.exclude_seen is not None:
            way = "leave_out" if query.exclude_seen else "show"
        if way == "show" or not policy.seen.most or not (person.user_id or person.anonymous_id):
            return NOTHING
        # Tokens made before the keys were rotated carry the hash of that time.
        hashes = [
            subject_hash(key.secret, person.user_id, person.anonymous_id) for key in view.tokens.keyring.keys
        ]
        since_ms = int(now * 1000 - policy.seen.keep_hours * _MS_PER_HOUR)
        try:
            found = await self._seen.seen_since(view.tenant_id, hashes, since_ms, policy.seen.most)
        except SeenUnavailableError:
            return Recalled(unknown=True)
        return Recalled(found) if way == "leave_out" else Recalled(faded=found)

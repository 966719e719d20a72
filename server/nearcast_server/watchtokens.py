"""Where a watcher of statistics goes on after it was cut off: sealed, bound to tenant and items."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from struct import Struct

from nearcast_ledger.sealing import Seal, TokenInvalidError, sealed_chars
from nearcast_server.errors import InvalidRequestError
from nearcast_server.tenancy import Tenancies

_PURPOSE = b"watch"
_VERSION = 2
_LAYOUT = Struct(">BI8sQQQQQQ")


@dataclass(frozen=True, slots=True)
class Progress:
    """What a watcher was told: whatever changed before the horizon `since`, and the feeds of `mark`.

    While it catches up (`until` is not 0), also what changed of postings up to `after`; at the end of that it
    goes on from `until`. It was told by the `rules` that make evidence of counts: by others all is void.
    """

    since: int
    until: int = 0
    after: int = 0
    mark: tuple[int, int] = (0, 0)  # revision, epoch
    rules: int = 0


class WatchTokens:
    """Closes and opens the resume tokens of WatchStats."""

    def __init__(self, tenancies: Tenancies) -> None:
        self._tenancies = tenancies

    def close(self, tenant_id: int, item_ids: Iterable[str], progress: Progress) -> str:
        """The token that goes on from there."""
        numbers = (progress.since, progress.until, progress.after, *progress.mark, progress.rules)
        payload = _LAYOUT.pack(_VERSION, tenant_id, _digest(item_ids), *numbers)
        return self._seal(tenant_id).close(payload)

    def open(self, tenant_id: int, item_ids: Iterable[str], text: str) -> Progress:
        """Where to go on; InvalidRequestError when the token is of another tenant or of other items."""
        expected = (_VERSION, tenant_id, _digest(item_ids))
        try:
            _, payload = self._seal(tenant_id).open(text, sealed_chars(_LAYOUT.size))
        except TokenInvalidError:
            payload = b""
        if len(payload) == _LAYOUT.size:
            *head, since, until, after, revision, epoch, rules = _LAYOUT.unpack(payload)
            if tuple(head) == expected:
                return Progress(since, until, after, (revision, epoch), rules)
        raise InvalidRequestError.of(
            "resume_token",
            "RESUME_TOKEN_INVALID",
            "was not made for this tenant and these items, or was changed; begin again with a snapshot",
        )

    def _seal(self, tenant_id: int) -> Seal:
        return Seal(self._tenancies.view(tenant_id).tokens.keyring, _PURPOSE)


def _digest(item_ids: Iterable[str]) -> bytes:
    return blake2b("\0".join(sorted(item_ids)).encode(), digest_size=8).digest()

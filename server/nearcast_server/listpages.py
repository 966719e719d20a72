"""Where a listing of the catalogue goes on: sealed, bound to tenant and query."""

from nearcast_ledger.sealing import Seal, TokenInvalidError
from nearcast_server.errors import InvalidRequestError
from nearcast_server.tenancy import Tenancies

ITEMS, MARKETS, POLICIES = b"list", b"markets", b"policies"
_MOST_CHARS = 512


class ListPages:
    """Closes and opens the page tokens of ListItems, or those of ListMarkets or ListPolicyRevisions."""

    def __init__(self, tenancies: Tenancies, purpose: bytes = ITEMS) -> None:
        self._tenancies = tenancies
        self._purpose = purpose

    def close(self, tenant_id: int, last_item_id: str, expired_too: bool) -> str:
        """The token that goes on after this item."""
        return self._seal(tenant_id).close(_head(tenant_id, expired_too) + last_item_id.encode())

    def open(self, tenant_id: int, text: str, expired_too: bool) -> str:
        """The item to go on after; InvalidRequestError when the token is of another tenant or query."""
        head = _head(tenant_id, expired_too)
        try:
            _, payload = self._seal(tenant_id).open(text, _MOST_CHARS)
        except TokenInvalidError:
            payload = b""
        if not payload.startswith(head):
            raise InvalidRequestError.of(
                "page_token",
                "PAGE_TOKEN_INVALID",
                "was not made for this tenant and query, or was changed; start again without it",
            )
        return payload[len(head) :].decode()

    def _seal(self, tenant_id: int) -> Seal:
        return Seal(self._tenancies.view(tenant_id).tokens.keyring, self._purpose)


def _head(tenant_id: int, expired_too: bool) -> bytes:
    return b"%d.%d." % (tenant_id, expired_too)

"""Binds a page to its query and tenant, and opens it again."""

from collections.abc import Callable
from typing import TypeVar

from nearcast_ledger.hashing import query_hash
from nearcast_ledger.nearbycursor import NearbyCursor
from nearcast_ledger.pagetoken import PageToken
from nearcast_ledger.sealing import TokenInvalidError
from nearcast_server.errors import InvalidRequestError
from nearcast_server.tenancy import View

PAGE_LIFETIME_MS = 3_600_000

Page = TypeVar("Page", PageToken, NearbyCursor)


def open_slate_page(view: View, text: str, canonical: bytes, now_ms: int) -> PageToken:
    """The slate that goes on; InvalidRequestError when the token is not of this tenant and query."""
    return _open(view, canonical, lambda query: view.tokens.pages.verify(text, view.tenant_id, query, now_ms))


def open_nearby_page(view: View, text: str, canonical: bytes, now_ms: int) -> NearbyCursor:
    """The list that goes on; InvalidRequestError when the token is not of this tenant and query."""
    return _open(
        view, canonical, lambda query: view.tokens.cursors.verify(text, view.tenant_id, query, now_ms)
    )


def bind(view: View, canonical: bytes) -> bytes:
    """What a page remembers of its query."""
    return query_hash(view.tokens.salt, canonical)


def _open(view: View, canonical: bytes, verify: Callable[[bytes], Page]) -> Page:
    # A page made before the keys were rotated was bound with the key of that time.
    for key in reversed(view.tokens.keyring.keys):
        try:
            return verify(query_hash(key.secret, canonical))
        except TokenInvalidError:
            continue
    raise InvalidRequestError.of(
        "page_token",
        "PAGE_TOKEN_INVALID",
        "was not made for this tenant and query, was changed, or is over an hour old; start again without it",
    )

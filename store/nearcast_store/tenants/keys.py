"""What an API key looks like: `nc_<letter of the role><8 characters>_<secret of 32 random bytes>`.

The part before the secret may be shown; of the whole only a hash is kept.
"""

import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import get_args

from nearcast_store.tenants.protocol import Role

_SECRET_BYTES = 32
_PREFIX_BYTES = 6
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A new key; the text is shown once."""

    text: str = field(repr=False)
    prefix: str


def new_key(role: Role) -> ApiKey:
    """A key that nobody can guess; ValueError for an unknown role."""
    if role not in get_args(Role):
        raise ValueError(f"role must be one of {', '.join(get_args(Role))}, got {role!r}")
    prefix = f"nc_{role[0]}{secrets.token_urlsafe(_PREFIX_BYTES)}"
    return ApiKey(f"{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}", prefix)


def hash_of(key: str) -> bytes:
    """What is kept of a key. It is random enough that a plain hash gives nothing away."""
    return sha256(key.encode("utf-8", "surrogatepass")).digest()


def check_slug(slug: str) -> None:
    """ValueError for what cannot name a tenant."""
    if not _SLUG.fullmatch(slug):
        raise ValueError(
            f"a tenant's slug has 1 to 63 of a-z, 0-9 and -, and does not begin with -, got {slug!r}"
        )

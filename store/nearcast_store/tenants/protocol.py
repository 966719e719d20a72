"""Who may call, as whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

Role = Literal["client", "backend", "operator"]


@dataclass(frozen=True, slots=True)
class Caller:
    """Whom an API key stands for."""

    tenant_id: int
    tenant: str
    role: Role
    key_id: int
    suspended: bool
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What may be said of a key; never the key itself."""

    key_id: int
    tenant: str
    prefix: str
    role: Role
    label: str
    created_at: float
    expires_at: float | None
    revoked_at: float | None


class Beat(NamedTuple):
    """When a process was heard of, and how far its work had come by then."""

    beat_at: float
    fresh_at: float


class TenantStore(Protocol):
    """Tenants and their hashed API keys. Raises StoreUnavailableError."""

    async def ensure_tenant(self, slug: str, display_name: str) -> int:
        """The tenant's number; made when new."""
        ...

    async def tenants(self) -> list[tuple[int, str]]:
        """Number and slug of every tenant that is not suspended."""
        ...

    async def everyone(self) -> list[tuple[int, str]]:
        """The suspended ones too: what was acknowledged to them is counted all the same."""
        ...

    async def create_key(
        self, tenant_id: int, role: Role, label: str, expires_at: float | None
    ) -> tuple[str, KeyInfo]:
        """A new key, shown this once."""
        ...

    async def caller(self, key: str) -> Caller | None:
        """Whom the key stands for; None when it is unknown, expired or revoked."""
        ...

    async def keys(self, tenant_id: int) -> Sequence[KeyInfo]:
        """Every key of the tenant."""
        ...

    async def revoke_key(self, tenant_id: int, key_id: int) -> bool:
        """Whether there was such a key."""
        ...

    async def beat(self, process: str, now: float, fresh_at: float) -> None:
        """A sign of life: by now, everything accepted before `fresh_at` has been dealt with."""
        ...

    async def last_beat(self, process: str) -> Beat | None:
        """The last sign of life of that process."""
        ...

    async def origin(self) -> str:
        """Which run of which server answers: another after a restart, a restore and a fail-over."""
        ...

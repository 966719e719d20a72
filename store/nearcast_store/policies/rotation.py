"""When a signing key signs, verifies and is forgotten.

Two keys are live: the newest signs, the one before it verifies. A new one only verifies at first, as another
process may not have read it yet. An older one is retired; it verifies what it signed for as long as that can
still come in, and is then forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from nearcast_ledger.horizon import HORIZON_HOURS, REPLAY_WINDOW_HOURS
from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_store.errors import StoreError

# Thrice as long as a gateway goes without looking for keys.
SIGNS_AFTER_S = 15.0
_VERIFIES_S = (HORIZON_HOURS + REPLAY_WINDOW_HOURS) * 3600.0
_KEY_IDS = range(1, 256)
_STEP_S = 0.001


@dataclass(frozen=True, slots=True)
class KeptKey:
    """A signing key with its times in unix seconds."""

    key_id: int
    secret: bytes = field(repr=False)
    created_at: float
    retired_at: float | None = None

    def verifies(self, now: float) -> bool:
        """Whether what it signed is still believed."""
        return self.retired_at is None or now < self.retired_at + _VERIFIES_S


@dataclass(frozen=True, slots=True)
class Rotation:
    """What changes: a new key, keys that are live no more, keys that are deleted."""

    new: KeptKey
    retired: list[int]
    forgotten: list[int]


def keyring_of(keys: Sequence[KeptKey], now: float) -> Keyring | None:
    """The keys that verify, the one that signs last; None when there is none. `keys` are oldest first."""
    verifying = [key for key in keys if key.verifies(now)]
    if not verifying:
        return None
    known = [key for key in verifying if now - key.created_at >= SIGNS_AFTER_S]
    # When every key is new, the first of them was the only one and signs already.
    signs = known[-1] if known else verifying[0]
    ordered = [*(key for key in verifying if key is not signs), signs]
    return Keyring(tuple(SigningKey(key.key_id, key.secret) for key in ordered))


def rotation_of(keys: Sequence[KeptKey], secret: bytes, now: float) -> Rotation:
    """What a new key changes; `keys` are oldest first."""
    forgotten = [key.key_id for key in keys if not key.verifies(now)]
    live = [key.key_id for key in keys if key.retired_at is None]
    newest = keys[-1] if keys else None
    taken = {key.key_id for key in keys} - set(forgotten)
    last = newest.key_id if newest else 0
    free = sorted(set(_KEY_IDS) - taken, key=lambda key_id: (key_id <= last, key_id))
    if not free:
        raise StoreError("every signing key id from 1 to 255 is in use; wait until the oldest is forgotten")
    # Never before the newest, whatever the clock says: the newest is the one that comes to sign.
    created_at = max(now, newest.created_at + _STEP_S) if newest else now
    return Rotation(KeptKey(free[0], secret, created_at), live[:-1], forgotten)

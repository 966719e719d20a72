"""A tenant's signing keys: one signs, all verify."""

from dataclasses import dataclass, field

_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key; the id travels in the open, the secret never leaves the server."""

    key_id: int
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """A key that could not be told from another, or is too short to keep, is refused."""
        if not 1 <= self.key_id <= 255:
            raise ValueError(f"key_id must be in [1, 255], got {self.key_id}")
        if len(self.secret) != _SECRET_BYTES:
            raise ValueError(f"secret must be {_SECRET_BYTES} bytes, got {len(self.secret)}")


@dataclass(frozen=True, slots=True)
class Keyring:
    """The keys of one tenant that verify; the last of them signs."""

    keys: tuple[SigningKey, ...]

    def __post_init__(self) -> None:
        """At least one key, and no id twice."""
        if not self.keys:
            raise ValueError("a keyring needs at least one signing key, got none")
        if len({key.key_id for key in self.keys}) != len(self.keys):
            raise ValueError(f"key ids must differ, got {[key.key_id for key in self.keys]}")

    @property
    def signing_key(self) -> SigningKey:
        """The key that signs from now on."""
        return self.keys[-1]

    def key(self, key_id: int) -> SigningKey | None:
        """The key of that id, None when it was never there or is retired."""
        return next((key for key in self.keys if key.key_id == key_id), None)

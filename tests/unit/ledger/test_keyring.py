"""Keys that could not be told apart, or are too weak, are refused; secrets stay hidden."""

import pytest

from nearcast_ledger.keyring import Keyring, SigningKey

OLD, NEW = SigningKey(1, b"\1" * 32), SigningKey(2, b"\2" * 32)


def test_the_newest_key_signs_and_all_are_found_by_id() -> None:
    ring = Keyring((OLD, NEW))
    assert ring.signing_key is NEW
    assert (ring.key(1), ring.key(2), ring.key(3)) == (OLD, NEW, None)


@pytest.mark.parametrize("key_id", [0, 256, -1])
def test_a_key_id_fits_a_byte(key_id: int) -> None:
    with pytest.raises(ValueError, match=r"\[1, 255\]"):
        SigningKey(key_id, bytes(32))


@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(33)])
def test_a_secret_has_32_bytes(secret: bytes) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey(1, secret)


def test_a_keyring_has_keys_of_different_ids() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Keyring(())
    with pytest.raises(ValueError, match="must differ"):
        Keyring((OLD, SigningKey(1, bytes(32))))


def test_a_secret_is_not_printed() -> None:
    ring = Keyring((SigningKey(1, b"hunter2canary" + bytes(19)),))
    assert "canary" not in repr(ring)

"""Reward tokens: whose they are, which keys they need, and that their form stays readable."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from nearcast_ledger.claims import Claims
from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_ledger.rewardtoken import REWARD_TOKEN_CHARS, RewardTokens
from nearcast_ledger.sealing import Seal, TokenInvalidError

OLD, NEW = SigningKey(1, bytes(range(32))), SigningKey(2, b"\2" * 32)
CLAIMS = Claims(
    tenant_id=7,
    request_id=UUID("01a1fc93-050e-7095-8572-a4f4006d56ab"),
    posting=42,
    position=3,
    feed=2,
    feed_propensity=0.375,
    scenario=1,
    market=5,
    policy_revision=9,
    policy_epoch=11,
    explore=True,
    subject_hash=b"subject1",
    session_hash=b"session1",
    key_id=1,
)


def test_a_token_has_no_idle_character() -> None:
    assert REWARD_TOKEN_CHARS == 128
    assert len(RewardTokens(Keyring((OLD,))).sign(CLAIMS)) == 128


def test_the_newest_key_signs_and_the_claims_say_which() -> None:
    tokens = RewardTokens(Keyring((OLD, NEW)))
    assert tokens.verify(tokens.sign(CLAIMS), 7) == replace(CLAIMS, key_id=2)


def test_an_old_key_verifies_until_it_is_retired() -> None:
    text = RewardTokens(Keyring((OLD,))).sign(CLAIMS)
    assert RewardTokens(Keyring((OLD, NEW))).verify(text, 7) == CLAIMS
    with pytest.raises(TokenInvalidError):
        RewardTokens(Keyring((NEW,))).verify(text, 7)


def test_a_token_of_another_tenant_is_refused_even_under_the_same_key() -> None:
    tokens = RewardTokens(Keyring((OLD,)))
    with pytest.raises(TokenInvalidError):
        tokens.verify(tokens.sign(CLAIMS), 8)


def test_tokens_that_are_out_in_the_world_stay_readable() -> None:
    text = (
        "AREAAAAHAaH8kwUOcJWFcqT0AG1WqwAAAAAAAAAqAAMAAj_YAAAAAAAAAAEAAAAF"
        "AAAAAAAAAAkAAAAAAAAAC3N1YmplY3Qxc2Vzc2lvbjGBWLx8v04FZvD1gtUIg7uw"
    )
    assert RewardTokens(Keyring((OLD,))).verify(text, 7) == CLAIMS


@pytest.mark.parametrize("head", [0x00, 0x12, 0x20, 0x90])
def test_a_token_of_another_version_is_refused(head: int) -> None:
    seal = Seal(Keyring((OLD,)), b"reward")
    tokens = RewardTokens(Keyring((OLD,)))
    _, payload = seal.open(tokens.sign(CLAIMS), 128)
    assert tokens.verify(seal.close(payload), 7) == CLAIMS
    with pytest.raises(TokenInvalidError):
        tokens.verify(seal.close(bytes([head]) + payload[1:]), 7)


@pytest.mark.parametrize("size", [0, 78, 80, 100])
def test_a_payload_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(TokenInvalidError):
        RewardTokens(Keyring((OLD,))).verify(Seal(Keyring((OLD,)), b"reward").close(bytes(size)), 7)


def test_hashes_of_another_size_are_never_cut_to_fit() -> None:
    with pytest.raises(ValueError, match="8 bytes"):
        RewardTokens(Keyring((OLD,))).sign(replace(CLAIMS, subject_hash=bytes(9)))

"""Slate tokens: how small they are, and what they never take for one."""

from uuid import UUID

import pytest
from msgspec.structs import replace

from nearcast_ledger.claims import Claims
from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_ledger.rewardtoken import REWARD_TOKEN_CHARS, RewardTokens
from nearcast_ledger.sealing import Seal, TokenInvalidError

RING = Keyring((SigningKey(1, bytes(range(32))),))
TOKENS = RewardTokens(RING)
FIRST = Claims(
    tenant_id=7,
    request_id=UUID("01a1fc93-050e-7095-8572-a4f4006d56ab"),
    posting=1_000_000,
    position=21,
    feed=2,
    feed_propensity=0.375,
    scenario=1,
    market=0,
    policy_revision=9,
    policy_epoch=11,
    explore=False,
    subject_hash=b"subject1",
    session_hash=b"session1",
    key_id=1,
)
POSTINGS = (1_000_000, 17, 999_999, 500_000)


def test_a_slate_of_twenty_is_hardly_longer_than_the_token_of_one() -> None:
    postings = [1_000_000 - 50_000 * place for place in range(20)]
    assert len(TOKENS.sign_slate(FIRST, postings)) <= 2 * REWARD_TOKEN_CHARS


def test_items_stand_in_order_from_the_first_position() -> None:
    shown = TOKENS.verify_slate(TOKENS.sign_slate(FIRST, POSTINGS), 7)
    assert [(claims.posting, claims.position) for claims in shown] == [
        (1_000_000, 21),
        (17, 22),
        (999_999, 23),
        (500_000, 24),
    ]
    assert {replace(claims, posting=0, position=0) for claims in shown} == {
        replace(FIRST, posting=0, position=0)
    }


def test_neither_kind_of_token_is_the_other() -> None:
    with pytest.raises(TokenInvalidError):
        TOKENS.verify(TOKENS.sign_slate(FIRST, POSTINGS), 7)
    with pytest.raises(TokenInvalidError):
        TOKENS.verify_slate(TOKENS.sign(FIRST), 7)


def test_a_slate_of_another_tenant_is_refused_even_under_the_same_key() -> None:
    with pytest.raises(TokenInvalidError):
        TOKENS.verify_slate(TOKENS.sign_slate(FIRST, POSTINGS), 8)


@pytest.mark.parametrize("tail", [b"", b"\0" * 8, b"\0" * 9, b"\0" * 8 + b"\x09" + b"\1" * 9])
def test_a_payload_that_holds_no_postings_is_refused(tail: bytes) -> None:
    seal = Seal(RING, b"slate")
    _, payload = seal.open(TOKENS.sign_slate(FIRST, POSTINGS), 4096)
    head = payload[: -9 - 3 * len(POSTINGS)]
    assert TOKENS.verify_slate(seal.close(payload), 7)
    with pytest.raises(TokenInvalidError):
        TOKENS.verify_slate(seal.close(head + tail), 7)


@pytest.mark.parametrize("postings", [(), (5,), (1_000_000,) * 201])
def test_what_is_no_slate_of_the_first_item_is_not_signed(postings: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a slate has 1 to 200 postings"):
        TOKENS.sign_slate(FIRST, postings)

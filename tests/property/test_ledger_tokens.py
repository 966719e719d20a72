"""Tokens of every kind: what is signed comes back, and nothing that was changed does."""

from collections.abc import Callable
from ctypes import string_at
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nearcast_compiling.native import WHY_NOT
from nearcast_ledger.claims import Claims
from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_ledger.nearbycursor import NearbyCursor, NearbyCursors
from nearcast_ledger.pagetoken import PageToken, PageTokens
from nearcast_ledger.postings import unpack_postings
from nearcast_ledger.rewardtoken import REWARD_TOKEN_CHARS, RewardTokens
from nearcast_ledger.sealing import Seal, TokenInvalidError
from nearcast_ledger.seen import MOST_SLATE_ITEMS, bitmap_of, places_in
from nearcast_ledger.sessiontoken import SessionToken, SessionTokens

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
RING = Keyring((SigningKey(200, b"\1" * 32), SigningKey(255, b"\2" * 32)))
REWARDS, SESSIONS, PAGES, CURSORS = (
    RewardTokens(RING),
    SessionTokens(RING),
    PageTokens(RING),
    NearbyCursors(RING),
)

tenants = st.integers(1, 2**31 - 1)
smallints = st.integers(0, 32767)
bigints = st.integers(0, 2**63 - 1)
times = st.integers(0, 2**48 - 1)
shares = st.floats(0, 1)
metres = st.floats(0, 1e6)


def sized(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


claims = st.builds(
    Claims,
    tenant_id=tenants,
    request_id=st.uuids(),
    posting=bigints,
    position=smallints,
    feed=smallints,
    feed_propensity=shares,
    scenario=smallints,
    market=st.integers(0, 2**31 - 1),
    policy_revision=bigints,
    policy_epoch=bigints,
    explore=st.booleans(),
    subject_hash=sized(8),
    session_hash=sized(8),
    key_id=st.just(255),
)
session_tokens = st.builds(SessionToken, tenants, sized(16), bigints, times)
page_tokens = st.builds(
    PageToken,
    tenant_id=tenants,
    query_hash=sized(16),
    expires_ms=times,
    seed=st.integers(0, 2**64 - 1),
    feed=smallints,
    feed_propensity=shares,
    explore=st.booleans(),
    policy_revision=bigints,
    policy_epoch=bigints,
    session=sized(16),
    radius_used_m=metres,
    rank_offset=smallints,
    served=st.lists(bigints, max_size=200).map(tuple),
)
cursors = st.builds(NearbyCursor, tenants, sized(16), times, metres, st.text(max_size=128), metres)


@settings(deadline=None)
@given(claims)
def test_claims_come_back_as_signed(value: Claims) -> None:
    assert REWARDS.verify(REWARDS.sign(value), value.tenant_id) == value


@settings(deadline=None)
@given(claims, st.lists(bigints, min_size=1, max_size=200))
def test_a_slate_says_what_the_tokens_of_its_items_say(value: Claims, postings: list[int]) -> None:
    first = replace(value, posting=postings[0])
    single = [
        REWARDS.verify(
            REWARDS.sign(replace(value, posting=posting, position=value.position + place)), value.tenant_id
        )
        for place, posting in enumerate(postings)
    ]
    assert list(REWARDS.verify_slate(REWARDS.sign_slate(first, postings), value.tenant_id)) == single


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
@settings(deadline=None)
@given(claims, st.lists(bigints, max_size=MOST_SLATE_ITEMS))
def test_machine_code_writes_the_tokens_that_are_signed_one_by_one(
    first: Claims, postings: list[int]
) -> None:
    first = replace(first, position=min(first.position, 32_000))
    where = REWARDS.press_items(first, postings)
    text = string_at(where, len(postings) * REWARD_TOKEN_CHARS).decode()
    assert text == "".join(REWARDS.sign_items(first, postings))


@given(st.sets(st.integers(0, 199)))
def test_a_bitmap_gives_back_its_places_in_order(places: set[int]) -> None:
    assert list(places_in(bitmap_of(places))) == sorted(places)


@given(st.binary(max_size=25))
def test_every_bitmap_is_made_of_its_places(bitmap: bytes) -> None:
    assert bitmap_of(places_in(bitmap)) == bitmap.rstrip(b"\0")


@given(st.binary(max_size=60))
def test_bytes_that_are_no_postings_are_none(packed: bytes) -> None:
    postings = unpack_postings(packed)
    assert all(posting >= 0 for posting in postings)
    assert len(postings) <= max(len(packed) - 9, 0)


@settings(deadline=None)
@given(session_tokens)
def test_a_session_comes_back_as_signed(value: SessionToken) -> None:
    assert SESSIONS.verify(SESSIONS.sign(value), value.tenant_id, value.issued_ms) == value


@settings(deadline=None)
@given(page_tokens)
def test_a_page_comes_back_as_signed(value: PageToken) -> None:
    assert PAGES.verify(PAGES.sign(value), value.tenant_id, value.query_hash, value.expires_ms) == value


@settings(deadline=None)
@given(cursors)
def test_a_cursor_comes_back_as_signed(value: NearbyCursor) -> None:
    assert CURSORS.verify(CURSORS.sign(value), value.tenant_id, value.query_hash, value.expires_ms) == value


QUERY, NOW_MS = b"q" * 16, 1_790_000_000_000
REQUEST = UUID("01a1fc93-050e-7095-8572-a4f4006d56ab")
EXAMPLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "reward": (
        REWARDS.sign(Claims(7, REQUEST, 42, 3, 2, 0.5, 1, 0, 9, 11, False, b"subject1", b"session1")),
        lambda text: REWARDS.verify(text, 7),
    ),
    "slate": (
        REWARDS.sign_slate(
            Claims(7, REQUEST, 42, 3, 2, 0.5, 1, 0, 9, 11, False, b"subject1", b"session1"), (42, 7, 99)
        ),
        lambda text: REWARDS.verify_slate(text, 7),
    ),
    "session": (
        SESSIONS.sign(SessionToken(7, bytes(16), 11, NOW_MS)),
        lambda text: SESSIONS.verify(text, 7, NOW_MS),
    ),
    "page": (
        PAGES.sign(PageToken(7, QUERY, NOW_MS, 5, 2, 0.5, False, 9, 11, bytes(16), 5e3, 20, (1, 2, 3))),
        lambda text: PAGES.verify(text, 7, QUERY, NOW_MS),
    ),
    "nearby": (
        CURSORS.sign(NearbyCursor(7, QUERY, NOW_MS, 12.5, "item", 5e3)),
        lambda text: CURSORS.verify(text, 7, QUERY, NOW_MS),
    ),
}


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_single_changed_bit_is_refused(kind: str) -> None:
    text, read = EXAMPLES[kind]
    read(text)
    for index, letter in enumerate(text):
        for bit in range(6):
            changed = ALPHABET[ALPHABET.index(letter) ^ (1 << bit)]
            with pytest.raises(TokenInvalidError):
                read(text[:index] + changed + text[index + 1 :])


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_cut_is_refused(kind: str) -> None:
    text, read = EXAMPLES[kind]
    for length in range(len(text)):
        for cut in (text[:length], text[len(text) - length :]):
            with pytest.raises(TokenInvalidError):
                read(cut)


@pytest.mark.parametrize("kind", EXAMPLES)
@settings(max_examples=200, deadline=None)
@given(guess=st.text(max_size=200) | st.text(ALPHABET, max_size=200))
def test_no_guess_is_a_token(kind: str, guess: str) -> None:
    with pytest.raises(TokenInvalidError):
        EXAMPLES[kind][1](guess)


@given(claims, st.lists(bigints, max_size=5))
def test_items_signed_together_have_the_tokens_of_each(first: Claims, postings: list[int]) -> None:
    first = replace(first, position=min(first.position, 32_000))
    assert REWARDS.sign_items(first, postings) == [
        REWARDS.sign(replace(first, posting=posting, position=first.position + place))
        for place, posting in enumerate(postings)
    ]


@given(st.lists(sized(80), max_size=4), st.integers(0, 80))
def test_payloads_closed_together_are_closed_as_each(payloads: list[bytes], size: int) -> None:
    """Also those whose tokens do not fill their last character."""
    seal, cut = Seal(RING, b"test"), [payload[:size] for payload in payloads]
    assert seal.close_all(cut) == [seal.close(payload) for payload in cut]

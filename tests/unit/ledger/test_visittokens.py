"""Session tokens, page tokens and cursors: whose, for which query, and for how long."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_ledger.nearbycursor import NearbyCursor, NearbyCursors
from nearcast_ledger.pagetoken import MAX_SERVED, PageToken, PageTokens
from nearcast_ledger.rewardtoken import RewardTokens
from nearcast_ledger.sealing import Seal, TokenInvalidError
from nearcast_ledger.sessiontoken import SESSION_LIFETIME_MS, SessionToken, SessionTokens

RING = Keyring((SigningKey(1, bytes(range(32))),))
NOW_MS = 1_790_000_000_000
QUERY, OTHER_QUERY = b"q" * 16, b"r" * 16
SESSION = SessionToken(7, b"s" * 16, 11, NOW_MS)
PAGE = PageToken(7, QUERY, NOW_MS, 2**64 - 1, 2, 0.5, True, 9, 11, b"s" * 16, 5000.0, 20, (3, 1, 2))
CURSOR = NearbyCursor(7, QUERY, NOW_MS, 123.5, "item-ø", 5000.0)

SESSIONS, PAGES, CURSORS = SessionTokens(RING), PageTokens(RING), NearbyCursors(RING)


def test_a_session_lasts_a_day_for_its_tenant() -> None:
    text = SESSIONS.sign(SESSION)
    assert SESSIONS.verify(text, 7, NOW_MS + SESSION_LIFETIME_MS) == SESSION
    for tenant_id, now_ms in ((7, NOW_MS + SESSION_LIFETIME_MS + 1), (8, NOW_MS)):
        with pytest.raises(TokenInvalidError):
            SESSIONS.verify(text, tenant_id, now_ms)
    assert SESSION_LIFETIME_MS == 86_400_000


def test_a_page_is_bound_to_tenant_query_and_time() -> None:
    text = PAGES.sign(PAGE)
    assert PAGES.verify(text, 7, QUERY, NOW_MS) == PAGE
    for tenant_id, query, now_ms in ((8, QUERY, NOW_MS), (7, OTHER_QUERY, NOW_MS), (7, QUERY, NOW_MS + 1)):
        with pytest.raises(TokenInvalidError):
            PAGES.verify(text, tenant_id, query, now_ms)


def test_a_cursor_is_bound_to_tenant_query_and_time() -> None:
    text = CURSORS.sign(CURSOR)
    assert CURSORS.verify(text, 7, QUERY, NOW_MS) == CURSOR
    for tenant_id, query, now_ms in ((8, QUERY, NOW_MS), (7, OTHER_QUERY, NOW_MS), (7, QUERY, NOW_MS + 1)):
        with pytest.raises(TokenInvalidError):
            CURSORS.verify(text, tenant_id, query, now_ms)


def test_a_page_remembers_as_many_postings_as_may_be_served() -> None:
    full = replace(PAGE, served=tuple(range(2**62, 2**62 + MAX_SERVED)))
    assert PAGES.verify(PAGES.sign(full), 7, QUERY, NOW_MS) == full
    with pytest.raises(ValueError, match="at most 200"):
        PAGES.sign(replace(PAGE, served=tuple(range(MAX_SERVED + 1))))


READERS: dict[str, Callable[[str], object]] = {
    "session": lambda text: SESSIONS.verify(text, 7, NOW_MS),
    "page": lambda text: PAGES.verify(text, 7, QUERY, NOW_MS),
    "nearby": lambda text: CURSORS.verify(text, 7, QUERY, NOW_MS),
    "reward": lambda text: RewardTokens(RING).verify(text, 7),
}
TEXTS = {"session": SESSIONS.sign(SESSION), "page": PAGES.sign(PAGE), "nearby": CURSORS.sign(CURSOR)}


@pytest.mark.parametrize("made", TEXTS)
@pytest.mark.parametrize("read", READERS)
def test_no_kind_of_token_is_taken_for_another(made: str, read: str) -> None:
    if made == read:
        READERS[read](TEXTS[made])
        return
    with pytest.raises(TokenInvalidError):
        READERS[read](TEXTS[made])


@pytest.mark.parametrize("kind", TEXTS)
def test_another_version_or_size_is_refused_even_when_sealed(kind: str) -> None:
    seal = Seal(RING, kind.encode())
    _, payload = seal.open(TEXTS[kind], 4000)
    READERS[kind](seal.close(payload))
    spoilt = [b"", b"\x01", payload[:-1], payload + b"\xff", b"\x7f" + payload[1:], bytes(len(payload))]
    for wrong in spoilt:
        with pytest.raises(TokenInvalidError):
            READERS[kind](seal.close(wrong))


def test_fields_of_another_size_are_never_cut_to_fit() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        SESSIONS.sign(replace(SESSION, session=bytes(15)))
    with pytest.raises(ValueError, match="16 bytes"):
        PAGES.sign(replace(PAGE, query_hash=bytes(17)))
    with pytest.raises(ValueError, match="512"):
        CURSORS.sign(replace(CURSOR, last_item_id="x" * 513))

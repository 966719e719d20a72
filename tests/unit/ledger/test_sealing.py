"""A seal opens only what was closed for its purpose by a key that is still there."""

import re

import pytest

from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_ledger.sealing import Seal, TokenInvalidError, sealed_chars

OLD, NEW, OTHER = SigningKey(1, b"\1" * 32), SigningKey(2, b"\2" * 32), SigningKey(1, b"\3" * 32)
PAGE = Seal(Keyring((OLD, NEW)), b"page")


def test_the_text_is_safe_in_an_address_and_as_long_as_said() -> None:
    for size in range(40):
        text = PAGE.close(b"\xfb\xff" * (size // 2) + b"\xff" * (size % 2))
        assert re.fullmatch(r"[A-Za-z0-9_-]+", text)
        assert len(text) == sealed_chars(size)


def test_a_purpose_never_opens_anothers_token() -> None:
    with pytest.raises(TokenInvalidError):
        Seal(Keyring((OLD, NEW)), b"session").open(PAGE.close(b"payload"), 100)


@pytest.mark.parametrize("purpose", [b"", b"p" * 12, b"page\0"])
def test_a_purpose_that_could_be_taken_for_another_is_refused(purpose: bytes) -> None:
    with pytest.raises(ValueError, match="purpose"):
        Seal(Keyring((OLD,)), purpose)


def test_an_old_key_opens_until_it_is_retired() -> None:
    text = Seal(Keyring((OLD,)), b"page").close(b"payload")
    assert PAGE.open(text, 100) == (1, b"payload")
    assert PAGE.open(PAGE.close(b"payload"), 100) == (2, b"payload")
    for without_it in (Keyring((NEW,)), Keyring((OTHER, NEW))):
        with pytest.raises(TokenInvalidError):
            Seal(without_it, b"page").open(text, 100)


def test_an_overlong_text_is_refused_before_it_is_read() -> None:
    text = PAGE.close(b"payload")
    assert PAGE.open(text, len(text))[1] == b"payload"
    with pytest.raises(TokenInvalidError):
        PAGE.open(text, len(text) - 1)
    with pytest.raises(TokenInvalidError):
        PAGE.open("A" * 10_000_000, 100)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "AA",
        "====",
        "AQ==",
        "\n",
        "\0",
        "é" * 40,
        "\ud800",
        "A" * 39,
        "A" * 40,
        "+/+/" * 10,
        "' or 1=1 --",
    ],
)
def test_text_that_was_never_a_token_is_refused(text: str) -> None:
    with pytest.raises(TokenInvalidError):
        PAGE.open(text, 100)


@pytest.mark.parametrize("payload", [b"12", b"123", b"1234"])
def test_a_token_has_one_text_only(payload: bytes) -> None:
    text = PAGE.close(payload)
    spellings = [text + "=", text + "==", text + "\n", " " + text, text + "A", text[:-1] + "\n" + text[-1]]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spellings += [text[:-1] + letter for letter in alphabet if letter != text[-1]]
    for spelling in spellings:
        with pytest.raises(TokenInvalidError):
            PAGE.open(spelling, 100)


def test_the_ordinary_alphabet_is_not_the_safe_one() -> None:
    text = next(text for text in map(PAGE.close, map(bytes, range(60))) if "_" in text and "-" in text)
    with pytest.raises(TokenInvalidError):
        PAGE.open(text.replace("_", "/").replace("-", "+"), 200)


def test_every_refusal_says_the_same() -> None:
    messages = set()
    good = PAGE.close(b"payload")
    for text in ("", "A" * 40, "A" * 400, good[:-1], Seal(Keyring((OTHER,)), b"page").close(b"payload")):
        with pytest.raises(TokenInvalidError) as caught:
            PAGE.open(text, 100)
        messages.add(str(caught.value))
    assert len(messages) == 1

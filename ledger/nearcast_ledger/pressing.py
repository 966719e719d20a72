"""Tokens that differ in one place only, all in one call of machine code: BLAKE2b (RFC 7693) and base64.

Equal to what `Seal` writes one by one. Compiled functions stand in one file, which is all that is looked at
to tell whether what was kept of them is still right.
"""

from collections.abc import Sequence
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from nearcast_compiling.memory import address_of, fixed, load_i8, load_u1, load_u8, store_u1, store_u8
from nearcast_compiling.native import compiled, compiled_entry, compiled_inline

BLOCK_BYTES, TAG_BYTES = 128, 16
_STATE_WORDS, _BLOCK_WORDS = 8, 16
_ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", np.uint8)
_IV = np.array(
    [
        *(0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1),
        *(0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179),
    ],
    np.uint64,
)
_ROUNDS = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
        [11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4],
        [7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8],
        [9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13],
        [2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9],
        [12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11],
        [13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10],
        [6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5],
        [10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0],
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3],
    ],
    np.int64,
)
_LAST, _NOT_LAST = np.uint64(2**64 - 1), np.uint64(0)
_WORD_BITS = np.uint64(64)
_R1, _R2, _R3, _R4 = np.uint64(32), np.uint64(24), np.uint64(16), np.uint64(63)

# The sheet: addresses of the started hash, a block, its working memory, the postings and the text; then how
# long a body is, where in it the posting stands with the position behind it, the first position, how many.
_STATE, _BLOCK, _WORK, _POSTINGS, _TEXT, _SIZE, _AT, _POSITION, _COUNT = range(9)
_ASKED = Struct("<2q")
_POSTING_BYTES, _POSITION_BYTES = 8, 2

Integers = NDArray[np.int64]
Words = NDArray[np.uint64]


@compiled_inline
def _turned(word: np.uint64, bits: np.uint64) -> np.uint64:
    return (word >> bits) | (word << (_WORD_BITS - bits))


@compiled_inline
def _mix(work: int, row: int, at: int, a: int, b: int, c: int, d: int) -> None:
    """One G of the hash; the words of the block lie behind the sixteen of `work`."""
    first = load_u8(work, _BLOCK_WORDS + _ROUNDS[row, at])
    second = load_u8(work, _BLOCK_WORDS + _ROUNDS[row, at + 1])
    va, vb, vc, vd = load_u8(work, a), load_u8(work, b), load_u8(work, c), load_u8(work, d)
    va = va + vb + first
    vd = _turned(vd ^ va, _R1)
    vc = vc + vd
    vb = _turned(vb ^ vc, _R2)
    va = va + vb + second
    vd = _turned(vd ^ va, _R3)
    vc = vc + vd
    vb = _turned(vb ^ vc, _R4)
    store_u8(work, a, va)
    store_u8(work, b, vb)
    store_u8(work, c, vc)
    store_u8(work, d, vd)


@compiled
def _hash(state: int, work: int, hashed: int, flag: np.uint64) -> None:
    """One block, `hashed` bytes with it; what comes of it is left in the first words of `work`."""
    for word in range(_STATE_WORDS):
        store_u8(work, word, load_u8(state, word))
        store_u8(work, _STATE_WORDS + word, _IV[word])
    store_u8(work, 12, _IV[4] ^ np.uint64(hashed))
    store_u8(work, 14, _IV[6] ^ flag)
    for row in range(12):
        _mix(work, row, 0, 0, 4, 8, 12)
        _mix(work, row, 2, 1, 5, 9, 13)
        _mix(work, row, 4, 2, 6, 10, 14)
        _mix(work, row, 6, 3, 7, 11, 15)
        _mix(work, row, 8, 0, 5, 10, 15)
        _mix(work, row, 10, 1, 6, 11, 12)
        _mix(work, row, 12, 2, 7, 8, 13)
        _mix(work, row, 14, 3, 4, 9, 14)
    for word in range(_STATE_WORDS):
        mixed = load_u8(work, word) ^ load_u8(work, _STATE_WORDS + word)
        store_u8(work, word, mixed ^ load_u8(state, word))


@compiled
def _put_number(block: int, at: int, number: int, size: int) -> None:
    """The most significant byte first."""
    for place in range(size):
        store_u1(block, at + place, (number >> (8 * (size - 1 - place))) & 255)


@compiled
def _put_text(source: int, size: int, text: int, begin: int) -> None:
    """URL-safe base64 of bytes that fill their last character."""
    for group in range(size // 3):
        three = load_u1(source, 3 * group) << 16 | load_u1(source, 3 * group + 1) << 8
        three |= load_u1(source, 3 * group + 2)
        at = begin + 4 * group
        store_u1(text, at, _ALPHABET[three >> 18])
        store_u1(text, at + 1, _ALPHABET[three >> 12 & 63])
        store_u1(text, at + 2, _ALPHABET[three >> 6 & 63])
        store_u1(text, at + 3, _ALPHABET[three & 63])


@compiled_entry
def press(sheet: int) -> None:
    """Write the tokens one behind the other."""
    block, work, size = fixed(sheet, _BLOCK), fixed(sheet, _WORK), fixed(sheet, _SIZE)
    at, chars = fixed(sheet, _AT), (size + TAG_BYTES) // 3 * 4
    for place in range(fixed(sheet, _COUNT)):
        _put_number(block, at, load_i8(fixed(sheet, _POSTINGS), place), _POSTING_BYTES)
        _put_number(block, at + _POSTING_BYTES, fixed(sheet, _POSITION) + place, _POSITION_BYTES)
        for word in range(_BLOCK_WORDS):
            store_u8(work, _BLOCK_WORDS + word, load_u8(block, word))
        _hash(fixed(sheet, _STATE), work, BLOCK_BYTES + size, _LAST)
        for byte in range(TAG_BYTES):
            store_u1(block, size + byte, load_u1(work, byte))
        _put_text(block, size + TAG_BYTES, fixed(sheet, _TEXT), place * chars)
        for byte in range(TAG_BYTES):
            store_u1(block, size + byte, 0)


@compiled_entry
def begin(state: int, work: int) -> None:
    """Hash the key, whose words lie behind the sixteen of `work`, into a state."""
    _hash(state, work, BLOCK_BYTES, _NOT_LAST)
    for word in range(_STATE_WORDS):
        store_u8(state, word, load_u8(work, word))


class Press:
    """Writes tokens under one key: into memory of its own, so not for two threads at once."""

    def __init__(
        self, key: bytes, person: bytes, prefix: bytes, payload_bytes: int, posting_at: int, most: int
    ) -> None:
        body_bytes = len(prefix) + payload_bytes
        if body_bytes + TAG_BYTES > BLOCK_BYTES or (body_bytes + TAG_BYTES) % 3:
            raise ValueError(f"{body_bytes} bytes and a tag do not fit a block, or leave a character open")
        chars = (body_bytes + TAG_BYTES) // 3 * 4
        self._work = np.zeros(2 * _BLOCK_WORDS, np.uint64)
        self._state = self._begun(key, person)
        self._block = np.zeros(BLOCK_BYTES, np.uint8)
        self._block[: len(prefix)] = np.frombuffer(prefix, np.uint8)
        self._payload = self._block.data[len(prefix) : body_bytes]
        self._postings = np.zeros(most, np.int64)
        self._text = np.zeros(most * chars, np.uint8)
        held = (self._state, self._block, self._work, self._postings, self._text)
        self._sheet = np.array(
            [*(address_of(each) for each in held), body_bytes, len(prefix) + posting_at, 0, 0], np.int64
        )
        self._asked = self._sheet.data.cast("B")
        self._address, self._text_address = address_of(self._sheet), address_of(self._text)
        # Nothing yet; the machine code for it is made or loaded now, and not by a request.
        press(self._address)

    def write(self, payload: bytes, postings: Sequence[int] | Integers, position: int) -> int:
        """One token for each of at most `most` postings, at positions from this one on: where they stand.

        Text without anything between them, until the next call.
        """
        count = len(postings)
        self._payload[:] = payload
        self._postings[:count] = postings
        _ASKED.pack_into(self._asked, 8 * _POSITION, position, count)
        press(self._address)
        return self._text_address

    def _begun(self, key: bytes, person: bytes) -> Words:
        """The state of a hash that was given the key alone."""
        state = _IV.copy()
        state[0] ^= np.uint64(1 << 24 | 1 << 16 | len(key) << 8 | TAG_BYTES)
        state[6:] ^= np.frombuffer(person.ljust(16, b"\0"), np.uint64)
        self._work[_BLOCK_WORDS:] = np.frombuffer(key.ljust(BLOCK_BYTES, b"\0"), np.uint64)
        begin(address_of(state), address_of(self._work))
        return state

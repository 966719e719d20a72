"""A random stream for every (seed, posting, kind), addressed by counter instead of kept as state.

    root    = mix(mix(seed) + (kind + 1) * KIND_STEP)
    key     = mix(root + posting * GOLDEN)
    word(i) = mix(key + (i + 1) * GOLDEN)                      all modulo 2**64, i = 0, 1, 2, ...

`mix` is the finaliser of splitmix64, a bijection. A *cursor* is the key moved on by a multiple of GOLDEN,
so that "word i after the cursor" is a word of the same stream. Words are read in blocks of `BLOCK_WORDS`.
"""

from hashlib import blake2b

import numpy as np

from nearcast_bandit.arrays import Floats, Integers, Words

MASK = 0xFFFF_FFFF_FFFF_FFFF
GOLDEN = 0x9E37_79B9_7F4A_7C15
KIND_STEP = 0xD1B5_4A32_D192_ED03
MIX_1 = 0xBF58_476D_1CE4_E5B9
MIX_2 = 0x94D0_49BB_1331_11EB
BLOCK_WORDS = 4
BLOCK_STEP = BLOCK_WORDS * GOLDEN & MASK
UNIFORM_STEP = 2.0**-53

_MIX_1, _MIX_2 = np.uint64(MIX_1), np.uint64(MIX_2)
_GOLDEN, _ONE = np.uint64(GOLDEN), np.uint64(1)
_SHIFT_1, _SHIFT_2, _SHIFT_3 = np.uint64(30), np.uint64(27), np.uint64(31)
_UNIFORM_SHIFT = np.uint64(11)


def request_seed(secret: bytes, tenant_id: int, session: bytes, draw_epoch: int | bytes) -> int:
    """The 64-bit seed of one request; `secret` (1 to 64 bytes) keeps draws unpredictable from outside."""
    epoch = draw_epoch if isinstance(draw_epoch, bytes) else draw_epoch.to_bytes(8, "little", signed=True)
    return keyed_hash(secret, b"nearcast seed", tenant_id, session, epoch)


def keyed_hash(secret: bytes, purpose: bytes, number: int, first: bytes, second: bytes) -> int:
    """A 64-bit keyed BLAKE2b of unambiguously joined parts; different purposes never share a value."""
    if not 1 <= len(secret) <= 64:
        raise ValueError(f"secret has {len(secret)} bytes; BLAKE2b takes a key of 1 to 64 bytes")
    joined = number.to_bytes(8, "little", signed=True) + len(first).to_bytes(8, "little") + first + second
    return int.from_bytes(blake2b(joined, digest_size=8, key=secret, person=purpose).digest(), "little")


def keyed_unit(secret: bytes, purpose: bytes, number: int, name: bytes) -> float:
    """Where a name falls in [0, 1): always at the same place for the same secret, purpose and number."""
    return (keyed_hash(secret, purpose, number, name, b"") >> 11) * UNIFORM_STEP


def stream_keys(seed: int, postings: Integers, kind: int) -> Words:
    """The key of every posting's stream for this seed and kind."""
    root = mix_word(mix_word(seed & MASK) + (kind + 1) * KIND_STEP & MASK)
    keys = np.multiply(postings.astype(np.int64, copy=False).view(np.uint64), _GOLDEN)
    keys += np.uint64(root)
    return mix(keys)


def seeded_keys(first_seed: int, seeds: int, postings: Integers, kind: int) -> Words:
    """A row of `stream_keys` for each of so many seeds, counted on from the first."""
    many = np.uint64(first_seed & MASK) + np.arange(seeds, dtype=np.uint64)
    roots = mix(mix(many) + np.uint64((kind + 1) * KIND_STEP & MASK))
    return mix(roots[:, None] + postings.astype(np.int64, copy=False).view(np.uint64) * _GOLDEN)


def words(cursors: Words, index: int) -> Words:
    """Word `index` after each cursor."""
    return mix(cursors + np.uint64((index + 1) * GOLDEN & MASK))


def uniforms(drawn: Words) -> Floats:
    """The upper 53 bits of each word as an odd multiple of 2**-53: strictly between 0 and 1, never either."""
    odd = (drawn >> _UNIFORM_SHIFT) | _ONE
    return np.multiply(odd.view(np.int64), UNIFORM_STEP)


def mix(drawn: Words) -> Words:
    """Scramble the words in place and return them."""
    drawn ^= drawn >> _SHIFT_1
    drawn *= _MIX_1
    drawn ^= drawn >> _SHIFT_2
    drawn *= _MIX_2
    drawn ^= drawn >> _SHIFT_3
    return drawn


def mix_word(word: int) -> int:
    """`mix` of one Python integer."""
    word = (word ^ (word >> 30)) * MIX_1 & MASK
    word = (word ^ (word >> 27)) * MIX_2 & MASK
    return word ^ (word >> 31)

"""A list of postings in few bytes: each as its distance from the smallest, all in one width."""

from collections.abc import Sequence

_BASE_BYTES = 8
_HEAD_BYTES = _BASE_BYTES + 1


def pack_postings(postings: Sequence[int]) -> bytes:
    """The bytes of at least one posting; they come back in the same order."""
    base = min(postings)
    width = (max(postings) - base).bit_length() + 7 >> 3
    head = base.to_bytes(_BASE_BYTES) + bytes([width or 1])
    return head + b"".join([(posting - base).to_bytes(width or 1) for posting in postings])


def unpack_postings(packed: bytes) -> tuple[int, ...]:
    """The postings; none when the bytes are not such a list."""
    width = packed[_BASE_BYTES] if len(packed) > _HEAD_BYTES else 0
    if not 1 <= width <= _BASE_BYTES or (len(packed) - _HEAD_BYTES) % width:
        return ()
    base = int.from_bytes(packed[:_BASE_BYTES])
    return tuple(
        base + int.from_bytes(packed[start : start + width])
        for start in range(_HEAD_BYTES, len(packed), width)
    )


def most_packed_bytes(count: int) -> int:
    """How many bytes so many postings need at most."""
    return _HEAD_BYTES + count * _BASE_BYTES

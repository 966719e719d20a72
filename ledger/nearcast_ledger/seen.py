"""What of a slate came on screen: one bit per item, the first item being the lowest bit of the first byte."""

from collections.abc import Iterable

MOST_SLATE_ITEMS = 200


def bitmap_of(places: Iterable[int]) -> bytes:
    """The bits of these places, counted from 0; as few bytes as they need."""
    bits = 0
    for place in places:
        bits |= 1 << place
    return bits.to_bytes(bits.bit_length() + 7 >> 3, "little")


def places_in(bitmap: bytes) -> tuple[int, ...]:
    """The places whose bit is set, in order."""
    return tuple(
        8 * index + bit for index, byte in enumerate(bitmap) if byte for bit in range(8) if byte >> bit & 1
    )

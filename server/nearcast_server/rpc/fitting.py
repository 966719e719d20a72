"""As much of a page as one message may hold."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from google.protobuf.message import Message

# A client takes 4 MiB unless it was told otherwise.
MOST_PAGE_BYTES = 3 * 1024 * 1024

Stored = TypeVar("Stored")
Painted = TypeVar("Painted", bound=Message)


def fitting(page: Sequence[Stored], paint: Callable[[Stored], Painted]) -> list[Painted]:
    """The first of a page as messages, one at least."""
    messages: list[Painted] = []
    size = 0
    for stored in page:
        message = paint(stored)
        size += message.ByteSize()
        if messages and size > MOST_PAGE_BYTES:
            break
        messages.append(message)
    return messages

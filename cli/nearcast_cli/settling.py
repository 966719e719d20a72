"""What a long-lived process does once its start is over."""

import ctypes
import gc
from contextlib import suppress

# Everything is imported by then, and the first round of what is done now and then is over.
AFTER_S = 10.0


def settle() -> None:
    """Give back the memory that only the start needed, and spare what stays from full collections.

    The C library keeps what was freed, a quarter of a small gateway; glibc returns it when asked.
    """
    gc.collect()
    gc.freeze()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)

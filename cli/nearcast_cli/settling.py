"""What a long-lived process does once its start is over."""

import gc

from nearcast_telemetry.heap import give_back

# Everything is imported by then, and the first round of what is done now and then is over.
AFTER_S = 10.0


def settle() -> None:
    """Give back the memory that only the start needed, and spare what stays from full collections.

    The C library would keep it: a quarter of a small gateway.
    """
    gc.collect()
    gc.freeze()
    give_back()

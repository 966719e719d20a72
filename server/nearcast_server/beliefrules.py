"""The rules by which counts become posteriors, as one number: equal ones make the same of the same counts.

Weights, feeds and freezes are no part of them: a policy that differs in those believes the same.
"""

from collections.abc import Sequence
from hashlib import blake2b

from nearcast_server.priors import Priors
from nearcast_store.counting.exposing import Exposing


def number_of(kinds: Sequence[int], exposing: Exposing, priors: Priors) -> int:
    """63 bits, never 0; the same in every process."""
    said = (
        tuple(kinds),
        exposing.rules,
        exposing.cascades,
        sorted(exposing.half_lives.items()),
        sorted(priors.named.items(), key=repr),
        priors.means.tolist(),
        priors.strengths.tolist(),
    )
    return int.from_bytes(blake2b(repr(said).encode(), digest_size=8).digest(), "little") >> 1 or 1

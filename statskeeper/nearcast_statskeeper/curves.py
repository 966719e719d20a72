"""The position curve that the exploration share shows: pure, from counts and policy to a numbered fit."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import msgspec
import numpy as np

from nearcast_bandit.curvefitting import PlaceShare, Shuffled, fit_curve
from nearcast_ledger.kinds import positions_of
from nearcast_store.counting.protocol import ShuffledCount
from nearcast_store.curves.protocol import CurveFit, Look
from nearcast_store.policies.protocol import Revision

_HOUR_S = 3600.0
_WINDOW_HOURS = 90 * 24
_SOONER = 10
"""A look that found too little is taken again after this part of the time between two fits."""


def is_due(look: Look | None, revision: Revision, now: float) -> bool:
    """Whether the exploration share must be looked at: never was, under other settings, or long ago."""
    exposure = revision.policy.exposure
    if exposure.position_curve != "fitted":
        return False
    if look is None or look.basis != basis_of(revision):
        return True
    wait_s = exposure.curve_every_hours * _HOUR_S / (_SOONER if look.reason else 1)
    # A clock that was set back must not make a look last for longer.
    return not 0 <= now - look.looked_at < wait_s


def basis_of(revision: Revision) -> bytes:
    """32 bytes that differ when anything does that a fit rests on."""
    return sha256(msgspec.json.encode((success_kinds(revision), _least(revision)))).digest()


def success_kinds(revision: Revision) -> list[int]:
    """Whether a place is looked at does not depend on what is done then: all that has a weight counts."""
    return sorted(revision.kinds[name] for name, kind in revision.policy.kinds.items() if kind.weight > 0)


def first_hour(now: float) -> int:
    """Where the time begins that a fit looks back on: pages are laid out anew now and then."""
    return int(now // _HOUR_S) - _WINDOW_HOURS


def curve_from(
    latest: CurveFit | None, revision: Revision, counts: Sequence[ShuffledCount], now: float
) -> tuple[Look, CurveFit | None]:
    """What a look at these counts comes to; without a curve it says what lacks."""
    look = Look(revision.tenant_id, round(now, 6), basis_of(revision))
    columns = np.array(counts, np.int64).reshape(-1, 5).T
    strata = np.unique(columns[:2], axis=1, return_inverse=True)[1].reshape(-1)
    try:
        places = fit_curve(Shuffled(strata, *columns[2:]), _least(revision))
    except ValueError as error:
        share = revision.policy.exploration.share
        reason = f"{error}, counted in the {share:.3g} of all requests that explore in the last 90 days"
        return replace(look, reason=reason), None
    number = latest.number + 1 if latest else 1
    return look, CurveFit(revision.tenant_id, number, look.looked_at, shares_of(places), places)


def shares_of(places: Sequence[PlaceShare]) -> tuple[float, ...]:
    """For each position from 1 on; one that was not seen has the share of the one before it."""
    shares: list[float] = []
    for each in places:
        first, last = positions_of(each.place)
        shares += [shares[-1]] * (first - 1 - len(shares)) if shares else []
        shares += [each.share] * (last + 1 - first)
    return tuple(shares)


def _least(revision: Revision) -> int:
    return revision.policy.exposure.curve_evidence

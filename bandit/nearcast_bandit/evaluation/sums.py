"""All that the estimators need of a log: a few sums per session and position, added up anew to resample."""

from dataclasses import dataclass

import numpy as np

from nearcast_bandit.arrays import Floats
from nearcast_bandit.evaluation.logged import ShownItems

ROWS, REWARD, WEIGHT, WEIGHTED_REWARD, MODEL, CORRECTED = range(6)
_COLUMNS = 6


@dataclass(frozen=True, slots=True, eq=False)
class SessionSums:
    """`requests` by session; `cells` by session, position and column."""

    requests: Floats
    cells: Floats

    @property
    def sessions(self) -> int:
        return self.requests.size

    def resampled(self, times: Floats) -> "SessionSums":
        """Totals when each session counts so many times; a row of `times` per replicate."""
        flat = times @ self.cells.reshape(self.sessions, -1)
        return SessionSums(times @ self.requests, flat.reshape(times.shape[0], *self.cells.shape[1:]))

    def totals(self) -> "SessionSums":
        """One replicate in which each session counts once."""
        return self.resampled(np.ones((1, self.sessions)))


def session_sums(log: ShownItems) -> SessionSums:
    """The sums of a log."""
    _, first, of_request = np.unique(log.request, return_index=True, return_inverse=True)
    mixed = log.session != log.session[first][of_request]
    if mixed.any():
        request = log.request[mixed][0]
        raise ValueError(f"request {request} stands in two sessions; a request belongs to one")
    names, session = np.unique(log.session, return_inverse=True)
    places, place = np.unique(log.position, return_inverse=True)
    requests = np.bincount(session[first], minlength=names.size).astype(np.float64)
    cell = session * places.size + place
    cells = np.zeros((names.size * places.size, _COLUMNS))
    for column, values in enumerate(_values(log)):
        cells[:, column] = np.bincount(cell, values, cells.shape[0])
    return SessionSums(requests, cells.reshape(names.size, places.size, _COLUMNS))


def _values(log: ShownItems) -> list[Floats]:
    weight = log.weight
    expected = np.zeros(weight.size) if log.expected is None else log.expected
    modelled = np.zeros(weight.size) if log.modelled is None else log.modelled
    corrected = expected + weight * (log.reward - modelled)
    return [np.ones(weight.size), log.reward, weight, weight * log.reward, expected, corrected]

"""The log that an evaluation reads: plain columns, one row for each item shown."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nearcast_bandit.arrays import Booleans, Floats, Integers

_OVER_ONE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class ShownItems:
    """One row per item shown. Position counts from 1; a request belongs to one session.

    `logged` and `target` are the probabilities of this item at this position under the policy that logged and
    under the one to be judged. `unsupported` is the share of the target's probability, at this position of
    this request, on items that could not have been logged there. A model of the reward, if there is one:
    `modelled` for the item shown, `expected` under the target's whole distribution at this position.
    """

    session: Integers
    request: Integers
    position: Integers
    reward: Floats
    logged: Floats
    target: Floats
    unsupported: Floats | None = None
    modelled: Floats | None = None
    expected: Floats | None = None

    def __post_init__(self) -> None:
        if (self.modelled is None) != (self.expected is None):
            raise ValueError("a model takes both columns: modelled and expected")
        for name, column in self._columns().items():
            if column.shape != self.session.shape or column.ndim != 1:
                raise ValueError(f"column {name} has shape {column.shape}, session has {self.session.shape}")
            _refuse(name, column, ~np.isfinite(column), "it must be finite")
        if not self.session.size:
            raise ValueError("the log is empty: there is nothing to judge by")
        _refuse("position", self.position, self.position < 1, "positions count from 1")
        _refuse("logged", self.logged, ~_share(self.logged) | (self.logged == 0), "it must lie in (0, 1]")
        _refuse("target", self.target, ~_share(self.target), "it must lie in [0, 1]")
        if self.unsupported is not None:
            _refuse("unsupported", self.unsupported, ~_share(self.unsupported), "it must lie in [0, 1]")

    @property
    def weight(self) -> Floats:
        """How much more often the target would have shown this item here."""
        return self.target / self.logged

    def only(self, chosen: Booleans) -> "ShownItems":
        """Some of the rows."""
        kept: dict[str, Any] = {name: column[chosen] for name, column in self._columns().items()}
        return replace(self, session=self.session[chosen], **kept)

    def _columns(self) -> dict[str, Floats | Integers]:
        names = ("request", "position", "reward", "logged", "target", "unsupported", "modelled", "expected")
        columns = {name: getattr(self, name) for name in names}
        return {name: column for name, column in columns.items() if column is not None}


def _share(column: Floats) -> Booleans:
    share: Booleans = (column >= 0) & (column <= 1 + _OVER_ONE)
    return share


def _refuse(name: str, column: Floats | Integers, wrong: Booleans, rule: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(f"{name} of row {row} is {column[row]}; {rule}")

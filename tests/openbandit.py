"""The small sample of ZOZO's Open Bandit Dataset, read from beside the checkout: it is not part of it."""

import csv
import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from nearcast_bandit.ranking import Ranking

_BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
FOLDER = Path(os.environ.get("OPEN_DATA_DIR", _BESIDE)) / "obd_sample"

needs_sample = pytest.mark.skipif(
    not FOLDER.is_dir(),
    reason=f"no Open Bandit sample at {FOLDER}; set OPEN_DATA_DIR to the folder that holds obd_sample",
)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One row per item shown, in the order of time; positions count from 1."""

    item: np.ndarray
    position: np.ndarray
    click: np.ndarray
    propensity: np.ndarray


def rows(policy: str, campaign: str) -> Rows:
    """What `random` or `bts` (Thompson sampling) logged for `all`, `men` or `women`."""
    with gzip.open(FOLDER / f"{policy}_{campaign}.csv.gz", "rt", newline="") as file:
        table = list(csv.DictReader(file))
    return Rows(
        np.array([int(row["item_id"]) for row in table]),
        np.array([int(row["position"]) for row in table]),
        np.array([float(row["click"]) for row in table]),
        np.array([float(row["propensity_score"]) for row in table]),
    )


def published_ranking(campaign: str) -> Ranking:
    """The ranking drawn from the priors that ZOZO published: the state at the start of the data."""
    shapes = json.loads((FOLDER / "prior_bts.json").read_text())[campaign]
    a, b = np.array([shapes["alpha"]], dtype=float), np.array([shapes["beta"]], dtype=float)
    return Ranking(np.arange(a.size), (1,), (1.0,), a, b)

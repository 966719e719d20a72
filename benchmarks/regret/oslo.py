"""Real listings of Oslo, read from beside the checkout: they are not part of it.

Inside Airbnb (insideairbnb.com), CC BY 4.0: where each listing is, what kind of room it lets, and its reviews
per month, which stand for how much it is liked.
"""

import csv
import gzip
import os
import re
from pathlib import Path

from nearcast_geo.point import Point
from nearcast_town.listed import Listing

_BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
FOLDER = Path(os.environ.get("OPEN_DATA_DIR", _BESIDE)) / "airbnb_oslo"
ABSENT = f"no listings of Oslo at {FOLDER}; set OPEN_DATA_DIR to the folder that holds airbnb_oslo"


def listings(folder: Path = FOLDER) -> list[Listing]:
    """All of them. Raises FileNotFoundError."""
    with gzip.open(folder / "listings.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return [
            Listing(
                Point(float(row["latitude"]), float(row["longitude"])),
                f"{row['room_type']} in {row['neighbourhood']}",
                re.sub(r"[^a-z]+", "-", row["room_type"].lower()),
                float(row["reviews_per_month"] or 0),
            )
            for row in csv.DictReader(file)
        ]

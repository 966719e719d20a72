"""Fingerprints tell people, guests, visits and secrets apart, and know nobody."""

from itertools import combinations

from nearcast_ledger.claims import UNKNOWN_HASH
from nearcast_ledger.hashing import query_hash, session_hash, subject_hash

SECRET, OTHER = bytes(range(32)), bytes(32)


def test_nobody_and_no_visit_hash_to_zero() -> None:
    assert subject_hash(SECRET, "", "") == session_hash(SECRET, "") == UNKNOWN_HASH == bytes(8)


def test_everything_that_differs_hashes_differently() -> None:
    hashes = [
        subject_hash(SECRET, "ada", ""),
        subject_hash(SECRET, "", "ada"),
        subject_hash(SECRET, "bob", ""),
        subject_hash(OTHER, "ada", ""),
        session_hash(SECRET, "ada"),
        session_hash(OTHER, "ada"),
        query_hash(SECRET, b"ada")[:8],
        query_hash(OTHER, b"ada")[:8],
    ]
    assert all(len(value) == 8 for value in hashes)
    assert all(one != other for one, other in combinations(hashes, 2))


def test_hashes_are_the_same_every_time_and_everywhere() -> None:
    assert subject_hash(SECRET, "ada", "").hex() == "79b1053a4aa5e42d"
    assert session_hash(SECRET, "ada").hex() == "7227e4ab33184d80"
    assert len(query_hash(SECRET, b"anything")) == 16

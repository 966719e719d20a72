"""Who saw or did something, as far as it was told."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Person:
    """By the id of a user or of a guest; both empty for a person unknown."""

    user_id: str = ""
    anonymous_id: str = ""

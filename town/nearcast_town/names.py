"""What things in a town are called: made-up, readable, plain ASCII."""

from dataclasses import dataclass

import numpy as np

STREET_FIRST = (
    "Aker", "Bjerke", "Bryn", "Dal", "Ekeberg", "Elve", "Fager", "Gron", "Hassel", "Haug", "Kirke", "Lille",
    "Lind", "Mark", "Nord", "Osp", "Rose", "Sand", "Skog", "Sol", "Stor", "Torg", "Ulle", "Vika",
)  # fmt: skip
STREET_LAST = ("bakken", "berget", "gata", "lia", "lokka", "moen", "plass", "stien", "tunet", "veien")
OWNER_FIRST = (
    "Anker", "Bolt", "Blue Door", "Corner", "Eastside", "Fjord", "Green Yard", "Harbour", "Kettle", "Lantern",
    "Maple", "North Star", "Old Mill", "Pine", "Riverside", "Tram",
)  # fmt: skip
OWNER_LAST = ("Collective", "Company", "House", "Works")

THINGS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "job": (
        ("Barista", ("coffee", "part-time")),
        ("Bicycle courier", ("outdoors", "flexible")),
        ("Carpenter", ("craft", "full-time")),
        ("Kindergarten assistant", ("children", "full-time")),
        ("Line cook", ("food", "evenings")),
    ),
    "event": (
        ("Open-air cinema", ("film", "outdoors")),
        ("Quiz night", ("evenings", "friends")),
        ("Run club", ("sport", "outdoors")),
        ("Small concert", ("music", "evenings")),
    ),
    "offer": (
        ("Fresh bread after five", ("food", "evenings")),
        ("Second coffee free", ("coffee", "friends")),
        ("Tyres at half price", ("bicycle", "craft")),
    ),
    "place": (
        ("Bakery", ("food", "coffee")),
        ("Climbing hall", ("sport", "friends")),
        ("Quiet reading room", ("books", "indoors")),
        ("Rooftop garden", ("outdoors", "food")),
    ),
    "course": (
        ("Ceramics for beginners", ("craft", "indoors")),
        ("Evening Norwegian", ("language", "evenings")),
        ("Swimming for children", ("sport", "children")),
    ),
    "rental": (
        ("Bicycle by the day", ("bicycle", "outdoors")),
        ("Cargo trailer", ("bicycle", "flexible")),
        ("Room with a view", ("home", "indoors")),
    ),
    "market": (
        ("Flea market table", ("home", "books")),
        ("Record stall", ("music", "indoors")),
        ("Vegetable stand", ("food", "outdoors")),
    ),
    "volunteer": (
        ("Bicycle repair helper", ("bicycle", "craft")),
        ("Homework helper", ("children", "books")),
        ("Language friend", ("language", "friends")),
    ),
}
CATEGORIES = tuple(THINGS)


@dataclass(frozen=True, slots=True)
class Label:
    """What an item is called and sorted under."""

    thing: str
    category: str
    tags: tuple[str, ...]
    owner: str


def street_name(rng: np.random.Generator) -> str:
    """A street such as Solberget."""
    return _any(rng, STREET_FIRST) + _any(rng, STREET_LAST)


def label(rng: np.random.Generator) -> Label:
    """Some thing, its category and tags, and who offers it."""
    category = _any(rng, CATEGORIES)
    things = THINGS[category]
    thing, tags = things[int(rng.integers(len(things)))]
    return Label(thing, category, tags, f"{_any(rng, OWNER_FIRST)} {_any(rng, OWNER_LAST)}")


def _any(rng: np.random.Generator, names: tuple[str, ...]) -> str:
    return names[int(rng.integers(len(names)))]

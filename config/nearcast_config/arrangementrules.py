"""Rules between pins, diversity and the length of slates, each with its consequence."""

from collections.abc import Iterator
from itertools import combinations

from nearcast_config.arrangement import Pin
from nearcast_config.policy import Policy
from nearcast_config.problems import SettingProblem, shown


def pins_hold_at_some_time(policy: Policy) -> Iterator[SettingProblem]:
    """A moment has to be one, and the end to come after the beginning."""
    for key, pin in _pins(policy):
        bad = [name for name, moment in (("from", pin.from_), ("until", pin.until)) if not _is_time(moment)]
        for name in bad:
            moment = pin.from_ if name == "from" else pin.until
            yield SettingProblem(
                f"{key}.{name}", f"must be a time such as 2026-12-01T08:00:00Z, got {shown(moment)}"
            )
        if not bad and pin.span[0] >= pin.span[1]:
            yield SettingProblem(
                f"{key}.until", f"must be later than from ({pin.from_}), got {pin.until}: it would never hold"
            )


def pins_have_slots(policy: Policy) -> Iterator[SettingProblem]:
    """A slot has to be one that the first page may have."""
    most = policy.slate.max_limit
    for key, pin in _pins(policy):
        if pin.slot > most:
            yield SettingProblem(
                f"{key}.slot",
                f"must be in [1, {most}] (slate.max_limit), got {pin.slot}: no page begins that long",
            )


def pins_do_not_collide(policy: Policy) -> Iterator[SettingProblem]:
    """At one time a slot has one item, and an item one slot."""
    for name, scenario in sorted(policy.scenarios.items()):
        timed = [
            (place, pin)
            for place, pin in enumerate(scenario.pins)
            if _is_time(pin.from_) and _is_time(pin.until)
        ]
        for (first, one), (second, other) in combinations(timed, 2):
            if not one.overlaps(other):
                continue
            key = f"policy.scenarios.{name}.pins[{second}]"
            if one.slot == other.slot:
                yield SettingProblem(
                    f"{key}.slot",
                    f"must differ from that of pins[{first}] while both hold, got {other.slot} twice: "
                    "a slot has room for one item",
                )
            if one.item_id == other.item_id:
                yield SettingProblem(
                    f"{key}.item_id",
                    f"must differ from that of pins[{first}] while both hold, got {shown(other.item_id)} "
                    "twice: an item stands in a slate once",
                )


def diversity_restricts(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of a number that can never be exceeded."""
    diversity = policy.diversity
    for name in ("most_per_owner", "most_per_category"):
        most = getattr(diversity, name)
        if most and most >= diversity.window:
            yield SettingProblem(
                f"policy.diversity.{name}",
                f"{most} does nothing while diversity.window is {diversity.window}: so many fit into "
                "a window anyway",
            )


def pins_leave_room(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of a surface on which nothing is left to draw, or to learn from."""
    for name, scenario in sorted(policy.scenarios.items()):
        limit = scenario.limit or policy.slate.default_limit
        slots = {pin.slot for pin in scenario.pins if pin.slot <= limit}
        if 2 * len(slots) > limit:
            yield SettingProblem(
                f"policy.scenarios.{name}.pins",
                f"take {len(slots)} of {limit} slots: what is pinned is not drawn, so little is learned of "
                "what people would choose",
            )


def pins_can_be_shown(policy: Policy) -> Iterator[SettingProblem]:
    """Warns of a pin for what the surface never shows."""
    for name, scenario in sorted(policy.scenarios.items()):
        for place, pin in enumerate(scenario.pins):
            if pin.item_id in scenario.exclude_item_ids:
                yield SettingProblem(
                    f"policy.scenarios.{name}.pins[{place}].item_id",
                    f"{shown(pin.item_id)} is in exclude_item_ids of this surface: it never stands there",
                )


def _pins(policy: Policy) -> Iterator[tuple[str, Pin]]:
    for name, scenario in sorted(policy.scenarios.items()):
        for place, pin in enumerate(scenario.pins):
            yield f"policy.scenarios.{name}.pins[{place}]", pin


def _is_time(moment: str) -> bool:
    """Whether it says a moment, and there is such a day and hour."""
    try:
        Pin("any", 1, moment).span  # noqa: B018 - reads the moment
    except (ValueError, OverflowError):
        return False
    return True


ARRANGEMENT_RULES = (pins_hold_at_some_time, pins_have_slots, pins_do_not_collide)
ARRANGEMENT_WARNINGS = (diversity_restricts, pins_leave_room, pins_can_be_shown)

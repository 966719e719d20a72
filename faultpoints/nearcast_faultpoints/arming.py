"""What the variable NEARCAST_FAILPOINTS asks for: `point=action` or `point=action:probability`, by commas."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias, get_args

VARIABLE = "NEARCAST_FAILPOINTS"

Action: TypeAlias = Literal["kill", "raise", "cut"]
ACTIONS: tuple[Action, ...] = get_args(Action)


class Failpoint(StrEnum):
    """Every place where a fault matters to what was promised."""

    GATEWAY_AFTER_PARSE = "gateway.after_parse"
    GATEWAY_AFTER_APPEND_BEFORE_REPLY = "gateway.after_append_before_reply"
    KEEPER_AFTER_READ = "keeper.after_read"
    KEEPER_AFTER_COPY = "keeper.after_copy"
    KEEPER_BEFORE_COMMIT = "keeper.before_commit"
    KEEPER_AFTER_COMMIT_BEFORE_ACK = "keeper.after_commit_before_ack"
    RELAY_BEFORE_APPLY = "relay.before_apply"
    RELAY_AFTER_APPLY = "relay.after_apply"


class ArmingError(ValueError):
    """What the variable asks for cannot be done."""


@dataclass(frozen=True, slots=True)
class Arming:
    """What happens at one point, and how often of the times that it is reached."""

    action: Action
    probability: float = 1.0


def read_arming(text: str) -> Mapping[Failpoint, Arming]:
    """The armed points; none for an empty text. Raises ArmingError."""
    return dict(_read_one(part.strip()) for part in text.split(",") if part.strip())


def _read_one(text: str) -> tuple[Failpoint, Arming]:
    name, _, what = text.partition("=")
    action, _, share = what.partition(":")
    try:
        point = Failpoint(name)
    except ValueError:
        raise ArmingError(f"{VARIABLE}: no point {name!r}; there are {', '.join(Failpoint)}") from None
    for known in ACTIONS:
        if action == known:
            return point, Arming(known, _probability(point, share))
    raise ArmingError(f"{VARIABLE}: {point} cannot {action!r}; it must be one of {', '.join(ACTIONS)}")


def _probability(point: Failpoint, text: str) -> float:
    try:
        probability = float(text or 1)
    except ValueError:
        probability = -1.0
    if not 0 < probability <= 1:
        raise ArmingError(f"{VARIABLE}: the probability of {point} is {text!r}, it must be in (0, 1]")
    return probability

"""What is asked: which policy instead of which, over which days, by which reward."""

from collections.abc import Mapping
from dataclasses import dataclass

from nearcast_bandit.evaluation.chances import DRAWS
from nearcast_bandit.evaluation.verdict import Gate
from nearcast_config.policy import Policy
from nearcast_store.decisions.reading import Days
from nearcast_store.policies.protocol import Revision


@dataclass(frozen=True, slots=True)
class Question:
    """`worth` is the reward of an event by its kind's number, `reward` says it in words.

    `market` is the number of the only one that counts, None for all. At most `most` decisions are judged, of
    each the first `positions` places; what cannot be integrated is drawn `draws` times. Days before the first
    decision are missing only where `is_since_told`.
    """

    tenant_id: int
    in_force: Revision
    wanted: Revision
    days: Days
    worth: Mapping[int, float]
    reward: str
    market: int | None = None
    market_id: str = ""
    is_since_told: bool = True
    most: int = 2000
    positions: int = 200
    draws: int = DRAWS
    gate: Gate = Gate()  # noqa: RUF009 - frozen


def unapplied(policy: Policy, in_force: Revision) -> Revision:
    """A policy as if it had a number; what nobody ever named gets numbers that nothing else has."""

    def numbered(names: list[str], known: Mapping[str, int]) -> dict[str, int]:
        return {name: known.get(name, -1 - place) for place, name in enumerate(names)}

    kinds, feeds = in_force.kinds, in_force.feeds
    extra = [name for name in feeds if name not in in_force.policy.feeds]
    return Revision(
        in_force.tenant_id,
        0,
        policy,
        numbered(["impression", *policy.kinds], kinds),
        numbered([*extra, *(name for name in policy.feeds if name not in extra)], feeds),
        numbered(list(policy.scenarios), in_force.scenarios),
    )

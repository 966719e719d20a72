"""Which changes of a policy can be judged from logged decisions: those that a record tells all about.

A record holds what competed, with A and B of every kind. What would bring other candidates, count evidence
otherwise or add a rule is not in it, and a key that is not known here is never guessed at.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from nearcast_config.mastery import Market
from nearcast_config.policy import Feed, Policy
from nearcast_config.policydiff import Change, policy_changes

_PREFIX = "policy."
_NOTHING_SAID = Market()
_FEEDS_ALONE = (
    "feeds.*.floor",
    *(
        f"master.{name}"
        for name in ("prior_mean", "prior_strength", "half_life_days", "goal", "min_sessions", "by_market")
    ),
    "master.parent_strength",
    "scenarios.*.feeds",
    "markets.*.feeds",
)
_JUDGED = (
    *_FEEDS_ALONE,
    *("exploration.share", "exploration.pool_size", "exploration.sharpness"),
    *("feeds.*.order", "feeds.*.kind", "kinds.*.weight"),
)
# They change no slate of the people whom the bandits serve.
_IDLE = (
    *("decisions.*", "freshness.*", "draws.interval_minutes"),
    *("master.epoch_minutes", "master.default_feed", "master.holdout_share", "master.holdout_salt"),
)
_PRIORS = ("kinds.*.prior_mean", "kinds.*.prior_strength", "priors.*", "newcomers.beats_incumbent")
_WHY = (
    (_PRIORS, "priors are learned, and no fit was ever made under the new policy"),
    (
        ("exposure.*", "kinds.*.maturity_hours", "attribution.*"),
        "records hold A and B, not the events they were counted from",
    ),
    (
        ("radius.*", "slate.*", "seen.*", "scenarios.*"),
        "records hold what competed, not what would compete then, and what was shown, not more",
    ),
    (("master.frozen", "markets.*.frozen"), "what is frozen is not chosen by the bandits"),
    (("kinds.*.rewards_feed",), "feeds were counted by other events"),
    (("kinds.*",), "the records know no such kind"),
)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A change that cannot be judged; of one scenario or market, or of all when both are empty."""

    change: Change
    why: str
    scenario: str = ""
    market: str = ""

    def __str__(self) -> str:
        """One line for an operator."""
        return f"{self.change}: {self.why}"

    def concerns(self, scenario: str, market: str) -> bool:
        """Whether a decision of that scenario and market would have been touched."""
        return (not self.scenario or self.scenario == scenario) and (not self.market or self.market == market)


def obstacles(before: Policy, after: Policy) -> tuple[Obstacle, ...]:
    """All that stands between a record made under one policy and a judgement of the other."""
    return tuple(_obstacles(before, after))


def only_feeds_change(before: Policy, after: Policy) -> bool:
    """Whether items are ordered as before, by whatever feed, and only shares of feeds differ."""
    keys = [_key(change) for change in policy_changes(before, after)]
    touching = [key for key in keys if not (_is_of(key, _IDLE) or _freezes_nothing(key, before, after))]
    return bool(touching) and all(_is_of(key, _FEEDS_ALONE) for key in touching)


def _obstacles(before: Policy, after: Policy) -> Iterator[Obstacle]:
    for change in policy_changes(before, after):
        key = _key(change)
        realm, _, rest = key.partition(".")
        name = _named(rest, realm, before, after)
        if _is_of(key, _JUDGED) and _is_known(key, name, before, after):
            continue
        if (
            _is_of(key, _IDLE)
            or (_is_of(key, _PRIORS) and _is_told_of_priors(name, before, after))
            or _is_new_or_gone(key, name, before, after)
            or _freezes_nothing(key, before, after)
        ):
            continue
        yield Obstacle(
            change,
            _why(key, name, before),
            scenario=name if realm == "scenarios" else "",
            market=name if realm == "markets" else "",
        )


def _is_told_of_priors(name: str, before: Policy, after: Policy) -> bool:
    """Whether it is known with which prior an item began; what a market says of a kind is for its items."""
    return before.priors.mode == after.priors.mode == "fixed" and not _has_own(name, before)


def _has_own(kind: str, policy: Policy) -> bool:
    return any(kind in market.kinds for market in policy.markets.values())


def _is_known(key: str, name: str, before: Policy, after: Policy) -> bool:
    """A new kind is not in the records: as long as it weighs nothing it is not missed."""
    is_new = key.startswith("kinds.") and name not in before.kinds
    return not is_new or after.kinds[name].weight == 0


def _named(rest: str, realm: str, before: Policy, after: Policy) -> str:
    """What the key is a setting of; ids of markets may have dots, and settings may have parts."""
    named = getattr(after, realm, None), getattr(before, realm, None)
    names = [name for table in named if isinstance(table, Mapping) for name in table]
    return max((name for name in names if rest.startswith(f"{name}.")), key=len, default="")


def _is_new_or_gone(key: str, name: str, before: Policy, after: Policy) -> bool:
    """A feed or kind that is no more, a new one that asks for nothing, a scenario that had no requests."""
    realm, setting = key.partition(".")[0], key.rpartition(".")[2]
    if realm == "feeds":
        if name in before.feeds and name in after.feeds:
            return False
        usual = Feed(order="draw")
        return name not in after.feeds or getattr(after.feeds[name], setting) == getattr(usual, setting)
    if realm == "kinds":
        return name not in after.kinds or (name not in before.kinds and after.kinds[name].weight == 0)
    return realm == "scenarios" and name not in before.scenarios


def _freezes_nothing(key: str, before: Policy, after: Policy) -> bool:
    """A market that is named for the first time, or no longer, is neither frozen nor lifted by that."""
    if not _is_of(key, ("markets.*.frozen",)):
        return False
    name = key.removeprefix("markets.").removesuffix(".frozen")
    one, other = (policy.markets.get(name, _NOTHING_SAID) for policy in (before, after))
    return one.frozen == other.frozen


def _why(key: str, name: str, before: Policy) -> str:
    if _is_of(key, _PRIORS) and _has_own(name, before):
        return "markets have priors of their own for it, and records do not say of which market an item is"
    for patterns, why in _WHY:
        if _is_of(key, patterns):
            return why
    return "the records do not tell what it would have done"


def _key(change: Change) -> str:
    return change.key.removeprefix(_PREFIX)


def _is_of(key: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)

"""Why a setting cannot be judged from logged decisions, and what tells about it instead."""

from fnmatch import fnmatchcase
from typing import NamedTuple

from nearcast_cli.checkout import command_name

PRIORS = ("kinds.*.prior_mean", "kinds.*.prior_strength", "priors.*", "newcomers.beats_incumbent")
# Of a surface's filters those that let fewer through are judged, by what items are.
FILTERS = (
    *("scenarios.*.categories", "scenarios.*.exclude_categories", "scenarios.*.exclude_item_ids"),
    *("scenarios.*.tags_all", "scenarios.*.tags_any", "scenarios.*.exclude_tags"),
)
NEWCOMERS = ("newcomers.floor_share", "newcomers.cap_share")
_SPLIT = "try it on a share of sessions ({nearcast} experiment)"
_SIMULATE = "rehearse it in a town ({nearcast} simulate)"
_PREVIEW = "look at what items would be believed ({nearcast} policy preview)"


class _Refusal(NamedTuple):
    keys: tuple[str, ...]
    why: str
    instead: str = ""


_REFUSALS = (
    _Refusal(PRIORS, "priors are learned, and no fit was ever made under the new policy", _PREVIEW),
    _Refusal(
        ("exposure.*", "kinds.*.maturity_hours", "attribution.*", "markets.*.half_life_hours"),
        "records hold A and B, not the events they were counted from",
        _SIMULATE,
    ),
    _Refusal(("slate.max_limit",), "whoever was given the most may have asked for more", _SPLIT),
    _Refusal(
        ("slate.default_limit", "scenarios.*.limit"),
        "records do not say whether a request named its limit; a lower slate.max_limit can be judged, also"
        " together with a slate.default_limit that is the same",
        _SPLIT,
    ),
    _Refusal(
        ("radius.*", "slate.max_candidates", "scenarios.*.radius_m"),
        "records hold what competed, not what would compete then, nor how far it is",
        _SPLIT,
    ),
    _Refusal(
        FILTERS, "it lets in what did not compete; only filters that let fewer through can be judged", _SPLIT
    ),
    _Refusal(("scenarios.*.distance_half_m",), "records do not say how far each item was", _SPLIT),
    _Refusal(
        ("scenarios.*.seen", "scenarios.*.seen_fade", "scenarios.*.exclude_seen"),
        "records do not say what the person had seen",
        _SPLIT,
    ),
    _Refusal(
        ("seen.*",), "records do not say what the person had seen, nor what would be remembered", _SIMULATE
    ),
    _Refusal(
        ("scenarios.*.pins",),
        "what stood at a pinned place was not left to chance, and what would stand there was never shown",
        _SPLIT,
    ),
    _Refusal(
        ("caps.*",),
        "how often something is shown within the hour follows from the policy: who would pause is not known",
        _SIMULATE,
    ),
    _Refusal(
        ("newcomers.until_exposures",),
        "records say who was new by the number that held, not how often each was shown",
        _SPLIT,
    ),
    _Refusal(NEWCOMERS, "while no places are kept by it, records do not say who is new", _SPLIT),
    _Refusal(("segments.names",), "which of other segments somebody belongs to was not recorded"),
    _Refusal(
        ("feeds.*.needs", "feeds.*.min_candidates"),
        "records do not say who asked, nor how many items the market held",
        _SPLIT,
    ),
    _Refusal(
        ("master.frozen", "markets.*.frozen"),
        "what is frozen is not chosen by the bandits",
        "compare with people who are held out (master.holdout_share)",
    ),
    _Refusal(("kinds.*.rewards_feed",), "feeds were counted by other events", _SIMULATE),
    _Refusal(("markets.*.kinds*",), "records do not say of which market an item is", _PREVIEW),
    _Refusal(("kinds.*",), "the records know no such kind", _SIMULATE),
)


def why_not(key: str) -> str:
    """For an operator, of a key without its prefix."""
    for each in _REFUSALS:
        if is_of(key, each.keys):
            return _told(each.why, each.instead)
    return _told("the records do not tell what it would have done", _SIMULATE)


def _told(why: str, instead: str) -> str:
    return f"{why}; {instead.replace('{nearcast}', command_name())}" if instead else why


def is_of(key: str, patterns: tuple[str, ...]) -> bool:
    """Whether a key is one of these, where * stands for any name."""
    return any(fnmatchcase(key, pattern) for pattern in patterns)

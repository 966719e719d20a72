"""Whether a policy can be tried beside the one in force, and what keeps it from it.

Counts, what is believed of items and of feeds, and what is remembered of people are the same for both: keys
that decide those cannot differ between two policies in use at once.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase

from nearcast_config.feedrules import frozen_keys
from nearcast_config.policy import Policy
from nearcast_config.policydiff import policy_changes
from nearcast_config.problems import SettingProblem

# What may differ between policies that serve sessions side by side.
_BY_SESSION = (
    "policy.slate.*",
    "policy.radius.*",
    "policy.kinds.*.weight",
    "policy.exploration.*",
    "policy.feeds.*",
    "policy.draws.*",
    "policy.scenarios.*",
    "policy.markets.*.feeds",
    "policy.decisions.*",
    "policy.diversity.*",
    "policy.newcomers.until_exposures",
    "policy.newcomers.floor_share",
    "policy.newcomers.cap_share",
)
# A shadow serves nobody, so it may believe otherwise, as long as nothing has to be counted or fitted anew.
_BELIEVED = ("policy.kinds.*.prior_mean", "policy.kinds.*.prior_strength")
_FITTED = ("policy.priors.*", "policy.newcomers.beats_incumbent")


def split_problems(in_force: Policy, contender: Policy) -> tuple[SettingProblem, ...]:
    """Why a share of sessions cannot be decided by the contender; empty when it can."""
    return (*_problems(in_force, contender, _BY_SESSION), *_left_elsewhere(in_force, contender))


def shadow_problems(in_force: Policy, contender: Policy) -> tuple[SettingProblem, ...]:
    """Why the contender cannot be decided beside what is served; empty when it can."""
    allowed: tuple[str, ...] = _BY_SESSION
    if contender.priors.mode == "fixed":
        allowed = (*_BY_SESSION, *_BELIEVED, *_FITTED)
    return tuple(_problems(in_force, contender, allowed))


def believes_alike(in_force: Policy, contender: Policy) -> bool:
    """Whether both have the same posteriors of every item."""
    return not any(
        _is_one_of(change.key, (*_BELIEVED, *_FITTED)) for change in policy_changes(in_force, contender)
    )


def _problems(in_force: Policy, contender: Policy, allowed: tuple[str, ...]) -> Iterator[SettingProblem]:
    yield from _frozen(in_force)
    if not policy_changes(in_force, contender):
        yield SettingProblem(
            "policy", "says what the policy in force says: there is nothing to compare; change a key"
        )
    for name in sorted(in_force.scenarios.keys() - contender.scenarios.keys()):
        yield SettingProblem(
            f"policy.scenarios.{name}",
            "must be there as in the policy in force: whoever asks for that surface would be refused",
        )
    yield from _apart(in_force, contender, allowed)


def _frozen(policy: Policy) -> Iterator[SettingProblem]:
    for key in frozen_keys(policy):
        yield SettingProblem(
            f"policy.{key}",
            "is true in the policy in force: what is frozen is served alike whatever is tried, so sessions "
            "there would be compared with none; unfreeze it first",
        )


def _apart(in_force: Policy, contender: Policy, allowed: tuple[str, ...]) -> Iterator[SettingProblem]:
    for change in policy_changes(in_force, contender):
        # What is frozen in force was told already, and a market that is named anew is frozen in neither.
        thaws = change.key.endswith(".frozen") and change.after != "true"
        if not thaws and not _is_one_of(change.key, allowed):
            yield SettingProblem(
                change.key,
                f"differs from the policy in force ({change.before or 'not set'} there, "
                f"{change.after or 'not set'} here): it decides what is counted, remembered or believed, "
                "which is one for both; leave it as it is, and rehearse it by "
                "policy preview, simulate or evaluate",
            )


def _left_elsewhere(in_force: Policy, contender: Policy) -> Iterator[SettingProblem]:
    """What was read of an answer is told by the revision that made it, so both have to mean the same."""
    differing = sorted(_stops(in_force) ^ _stops(contender))
    if in_force.exposure.mode == contender.exposure.mode == "cascade" and differing:
        yield SettingProblem(
            f"policy.kinds.{differing[0]}.weight",
            'must be above 0 in both policies or in neither while exposure.mode is "cascade" and '
            "exposure.stops_at is empty: people are taken to leave at kinds with a weight, so impressions "
            "would be counted in two ways; name the kinds in exposure.stops_at first",
        )


def _stops(policy: Policy) -> frozenset[str]:
    named = policy.exposure.stops_at
    return frozenset(named or (name for name, kind in policy.kinds.items() if kind.weight > 0))


def _is_one_of(key: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)

"""The numbers that slugs stand for: given once, for ever, also when a policy no longer names the slug."""

from collections.abc import Iterable, Mapping

from nearcast_config.mastery import HOLDOUT_FEED
from nearcast_config.policy import EXPLORE_FEED, Policy
from nearcast_config.problems import SettingProblem, SettingsError, shown
from nearcast_ledger.kinds import BUILT_IN_KIND_NUMBERS
from nearcast_ledger.surface import LAST_SCENARIO, LAST_SEGMENT
from nearcast_store.policies.protocol import Realm, Revision

Numbers = Mapping[Realm, Mapping[str, int]]

_FIXED: Numbers = {
    "kind": BUILT_IN_KIND_NUMBERS,
    "feed": {EXPLORE_FEED: 1},
    "scenario": {"default": 1},
    "segment": {},
}
# Room for kinds that may be built in later.
_FIRST_FREE: Mapping[Realm, int] = {"kind": 16, "feed": 2, "scenario": 2, "segment": 1}
_LAST: Mapping[Realm, int] = {"scenario": LAST_SCENARIO, "segment": LAST_SEGMENT}
_KEYS: Mapping[Realm, str] = {"scenario": "policy.scenarios", "segment": "policy.segments.names"}


def missing_numbers(known: Numbers, policy: Policy) -> list[tuple[Realm, str, int]]:
    """What to register so that every slug of the policy has a number. Raises SettingsError."""
    named: Mapping[Realm, Iterable[str]] = {
        "kind": policy.kinds,
        "feed": (*policy.feeds, *own_feeds(policy)),
        "scenario": policy.scenarios,
        "segment": policy.segments.names,
    }
    return [new for realm in named for new in _missing(realm, known.get(realm, {}), named[realm])]


def own_feeds(policy: Policy) -> tuple[str, ...]:
    """Feeds that the policy has without naming them, beside that of the exploration."""
    return (HOLDOUT_FEED,) if policy.master.holdout_share > 0 else ()


def revision_of(tenant_id: int, number: int, policy: Policy, numbers: Numbers) -> Revision:
    """A revision with the numbers of the slugs that it names."""
    kinds, feeds, scenarios = numbers["kind"], numbers["feed"], numbers["scenario"]
    return Revision(
        tenant_id,
        number,
        policy,
        {slug: kinds[slug] for slug in ("impression", *policy.kinds)},
        {slug: feeds[slug] for slug in (EXPLORE_FEED, *policy.feeds, *own_feeds(policy))},
        {slug: scenarios[slug] for slug in dict.fromkeys(("default", *policy.scenarios))},
        {slug: numbers["segment"][slug] for slug in policy.segments.names},
    )


def _missing(realm: Realm, known: Mapping[str, int], named: Iterable[str]) -> list[tuple[Realm, str, int]]:
    fixed = _FIXED[realm]
    new = [(realm, slug, number) for slug, number in fixed.items() if slug not in known]
    first = max(_FIRST_FREE[realm], *(number + 1 for number in known.values()), 0)
    slugs = [slug for slug in named if slug not in known and slug not in fixed]
    if realm in _LAST and slugs and first + len(slugs) - 1 > _LAST[realm]:
        problem = SettingProblem(
            _KEYS[realm],
            f"must name at most {_LAST[realm]} over all revisions, as numbers stand for names for ever, and"
            f" {shown(slugs[-1])} would be one more; use a name again that is not needed any longer",
        )
        raise SettingsError([problem])
    return [*new, *((realm, slug, number) for number, slug in enumerate(slugs, start=first))]

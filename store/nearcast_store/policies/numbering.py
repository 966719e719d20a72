"""The numbers that slugs stand for: given once, for ever, also when a policy no longer names the slug."""

from collections.abc import Iterable, Mapping

from nearcast_config.policy import EXPLORE_FEED, Policy
from nearcast_ledger.kinds import BUILT_IN_KIND_NUMBERS
from nearcast_store.policies.protocol import Realm, Revision

Numbers = Mapping[Realm, Mapping[str, int]]

_FIXED: Numbers = {"kind": BUILT_IN_KIND_NUMBERS, "feed": {EXPLORE_FEED: 1}, "scenario": {"default": 1}}
# Room for kinds that may be built in later.
_FIRST_FREE: Mapping[Realm, int] = {"kind": 16, "feed": 2, "scenario": 2}


def missing_numbers(known: Numbers, policy: Policy) -> list[tuple[Realm, str, int]]:
    """What to register so that every slug of the policy has a number."""
    named: Mapping[Realm, Iterable[str]] = {
        "kind": policy.kinds,
        "feed": policy.feeds,
        "scenario": policy.scenarios,
    }
    return [new for realm in named for new in _missing(realm, known.get(realm, {}), named[realm])]


def revision_of(tenant_id: int, number: int, policy: Policy, numbers: Numbers) -> Revision:
    """A revision with the numbers of the slugs that it names."""
    kinds, feeds, scenarios = numbers["kind"], numbers["feed"], numbers["scenario"]
    return Revision(
        tenant_id,
        number,
        policy,
        {slug: kinds[slug] for slug in ("impression", *policy.kinds)},
        {slug: feeds[slug] for slug in (EXPLORE_FEED, *policy.feeds)},
        {slug: scenarios[slug] for slug in dict.fromkeys(("default", *policy.scenarios))},
    )


def _missing(realm: Realm, known: Mapping[str, int], named: Iterable[str]) -> list[tuple[Realm, str, int]]:
    fixed = _FIXED[realm]
    new = [(realm, slug, number) for slug, number in fixed.items() if slug not in known]
    first = max(_FIRST_FREE[realm], *(number + 1 for number in known.values()), 0)
    slugs = [slug for slug in named if slug not in known and slug not in fixed]
    return [*new, *((realm, slug, number) for number, slug in enumerate(slugs, start=first))]

"""Whether the counts are what the ledger's rows say: every table both ways, and what must always hold."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from nearcast_store.counting.recounting import CHECKS, Difference, Summary, recount
from nearcast_store.postgres import Pool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was looked at, how many differences each check found by tenant, and the first of them."""

    first_day: date | None
    summaries: Sequence[Summary]
    found: Mapping[tuple[int, str], int]
    differences: Sequence[Difference]

    @property
    def clean(self) -> bool:
        """Whether nothing differs anywhere."""
        return not self.found

    def found_for(self, tenant_id: int) -> int:
        """Differences of one tenant."""
        return sum(number for (tenant, _), number in self.found.items() if tenant == tenant_id)


async def verify_stats(pool: Pool, most: int, tenant_id: int | None = None) -> Verdict:
    """Recount everything, or one tenant's; at most `most` differences of each check are kept in full.

    One transaction sees one moment, so keepers may go on folding. Raises StoreUnavailableError.
    """
    found: Counter[tuple[int, str]] = Counter()
    kept: list[Difference] = []
    async with recount(pool, tenant_id) as looking:
        summaries = await looking.summaries()
        for check in CHECKS:
            room = most
            async for difference in looking.differences(check):
                found[difference.tenant_id, check] += 1
                if room:
                    kept.append(difference)
                    room -= 1
        return Verdict(looking.first_day, summaries, found, kept)

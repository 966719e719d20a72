"""How much of its memory the event log's Redis has used."""

from collections.abc import Mapping


def memory_share(facts: Mapping[str, str | int | float]) -> float | None:
    """Of `maxmemory`, else of the machine's memory, by what INFO says; None when it does not tell."""
    limit = int(facts.get("maxmemory", 0)) or int(facts.get("total_system_memory", 0))
    if not limit or "used_memory" not in facts:
        return None
    # What Redis itself leaves out when it decides whether it is full.
    counted = int(facts["used_memory"]) - int(facts.get("mem_not_counted_for_evict", 0))
    return max(counted, 0) / limit

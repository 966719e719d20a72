"""Every Redis key. The hash tag names the tenant and keeps it in one slot of a cluster."""

from collections.abc import Iterable, Iterator

from nearcast_geo.reach import BUCKETS

# What a tenant's index consists of; a refill builds all of it aside and swaps it in.
INDEX_PARTS = ("items", "geo", "polar", "areas", *(f"reach:{bucket}" for bucket in BUCKETS))


def items(tenant_id: int) -> str:
    """Hash: posting to packed served item."""
    return part(tenant_id, "items")


def geo(tenant_id: int) -> str:
    """Geo set of the places of items without a reach of their own; members as `member` spells them."""
    return part(tenant_id, "geo")


def reach(tenant_id: int, bucket: int) -> str:
    """Geo set of the places of items whose own reach falls in the bucket."""
    return part(tenant_id, reach_part(bucket))


def polar(tenant_id: int) -> str:
    """Set of the members near a pole, which no geo set can find."""
    return part(tenant_id, "polar")


def areas(tenant_id: int) -> str:
    """Sorted set, by name alone: cells that areas of items touch, each with a posting, see `area_member`."""
    return part(tenant_id, "areas")


def position(tenant_id: int) -> str:
    """Sequence of the last change applied."""
    return part(tenant_id, "position")


def changes(tenant_id: int) -> str:
    """Stream of the changes applied; an entry's id begins with its sequence."""
    return part(tenant_id, "changes")


def log(tenant_id: int, shard: int) -> str:
    """Stream of accepted events."""
    return part(tenant_id, f"log:{shard}")


def decisions(tenant_id: int) -> str:
    """Stream of records of decisions."""
    return part(tenant_id, "decisions")


def forgotten(tenant_id: int) -> str:
    """Hash: shard to the time in milliseconds before which its entries may have been forgotten."""
    return part(tenant_id, "log-forgotten")


def seen(tenant_id: int, subject_hash: bytes) -> str:
    """Sorted set: postings that one person has seen, by when they were shown, in milliseconds."""
    return part(tenant_id, f"seen:{subject_hash.hex()}")


def part(tenant_id: int, name: str) -> str:
    """The key of one part of a tenant's index."""
    return f"nearcast:{{t{tenant_id}}}:{name}"


def shadow(tenant_id: int, token: str, name: str) -> str:
    """The same part while a refill builds it aside."""
    return part(tenant_id, f"shadow:{token}:{name}")


def reach_part(bucket: int) -> str:
    """The part that holds a bucket of reaches."""
    return f"reach:{bucket}"


def member(posting: int, place: int) -> str:
    """One place of an item, as a geo set and the polar set know it."""
    return f"{posting}.{place}"


def members(posting: int, places: int) -> list[str]:
    """Every place of an item."""
    return [member(posting, place) for place in range(places)]


def area_member(cell: str, posting: int) -> str:
    """One cell of the area from which an item is found."""
    return f"{cell}:{posting}"


def area_range(cell: str) -> tuple[str, str]:
    """From where to where the members of a cell lie, as ZRANGEBYLEX asks for them."""
    return f"[{cell}:", f"({cell};"


def posting_in_area(name: bytes) -> int:
    """Posting of a member of a cell."""
    return int(name.rpartition(b":")[2])


def posting_of(name: bytes) -> int:
    """Posting of a member."""
    return int(name.partition(b".")[0])


def read_member(name: bytes) -> tuple[int, int]:
    """Posting and place of a member."""
    posting, _, place = name.partition(b".")
    return int(posting), int(place)


def logs(tenant_ids: Iterable[int], shards: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Each log stream with its tenant and shard."""
    for tenant_id in tenant_ids:
        for shard in range(shards):
            yield log(tenant_id, shard), (tenant_id, shard)

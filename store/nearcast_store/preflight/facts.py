"""What is known of the settings of Redis and Postgres; None is what could not be learned."""

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class RedisFacts:
    """One Redis or Valkey. `cli` is the command that speaks to it, `trouble` why it said nothing."""

    cli: str
    trouble: str = ""
    version: str | None = None
    role: str | None = None
    loading: bool | None = None
    replicas: int | None = None
    append_only: bool | None = None
    append_fsync: str | None = None
    no_fsync_on_rewrite: bool | None = None
    writes_succeed: bool | None = None
    memory_limit_bytes: int | None = None
    eviction: str | None = None
    waits_for_disk: bool | None = None  # WAITAOF works


@dataclass(frozen=True, slots=True)
class PostgresFacts:
    """One database, as a new connection of our role finds it. `psql` is the command that speaks to it."""

    psql: str
    trouble: str = ""
    database: str = ""
    role: str = ""
    version: int | None = None  # as server_version_num: 150004
    in_recovery: bool | None = None
    fsync: bool | None = None
    full_page_writes: bool | None = None
    synchronous_commit: str | None = None
    encoding: str | None = None
    schema_trouble: str | None = None  # empty: it fits
    ledger_days: frozenset[date] | None = None  # those that have a partition
    default_partition: str | None = None  # empty: there is none

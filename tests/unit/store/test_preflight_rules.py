"""What each rule finds, from facts alone."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest

from nearcast_ledger.event import Durability
from nearcast_store.preflight.facts import PostgresFacts, RedisFacts
from nearcast_store.preflight.finding import Finding, Severity, Store
from nearcast_store.preflight.postgres_rules import POSTGRES_RULES, postgres_findings
from nearcast_store.preflight.redis_rules import REDIS_RULES, redis_findings
from nearcast_store.preflight.rule import Demands, Process, Rule

TODAY = date(2026, 3, 14)
DAYS = frozenset(TODAY + timedelta(days) for days in range(-7, 3))
REDIS = RedisFacts(
    cli="redis-cli -h there -p 6379",
    version="7.2.4",
    role="master",
    loading=False,
    replicas=0,
    append_only=True,
    append_fsync="everysec",
    no_fsync_on_rewrite=False,
    writes_succeed=True,
    memory_limit_bytes=1 << 30,
    eviction="noeviction",
    waits_for_disk=True,
)
POSTGRES = PostgresFacts(
    psql="psql there",
    database="jobs",
    role="clerk",
    version=150004,
    in_recovery=False,
    fsync=True,
    full_page_writes=True,
    synchronous_commit="on",
    encoding="UTF8",
    schema_trouble="",
    ledger_days=DAYS,
    default_partition="",
)
RULES: tuple[Rule[Any], ...] = (*POSTGRES_RULES, *REDIS_RULES)
BOTH: tuple[Store, ...] = ("log", "geo")


def demands(
    durability: Durability = Durability.EVERYSEC, process: Process = "gateway", today: date = TODAY
) -> Demands:
    return Demands(process, durability, today)


def of_redis(
    durability: Durability = Durability.EVERYSEC, stores: tuple[Store, ...] = BOTH, **facts: Any
) -> dict[str, Finding]:
    found = redis_findings(replace(REDIS, **facts), stores, demands(durability))
    return {finding.code: finding for finding in found}


def of_postgres(process: Process = "keeper", today: date = TODAY, **facts: Any) -> dict[str, Finding]:
    found = postgres_findings(replace(POSTGRES, **facts), demands(process=process, today=today))
    return {finding.code: finding for finding in found}


REFUSED_REDIS: list[tuple[str, dict[str, Any], Durability]] = [
    ("REDIS_VERSION", {"version": "6.0.16"}, Durability.EVERYSEC),
    ("REDIS_VERSION", {"version": "5.0.7"}, Durability.MEMORY),
    ("REDIS_REPLICA", {"role": "slave"}, Durability.EVERYSEC),
    ("REDIS_AOF_OFF", {"append_only": False, "waits_for_disk": False}, Durability.EVERYSEC),
    ("REDIS_AOF_OFF", {"append_only": False, "waits_for_disk": False}, Durability.FSYNC),
    ("REDIS_AOF_NOT_SYNCED", {"append_fsync": "no"}, Durability.EVERYSEC),
    ("REDIS_FSYNC_UNREACHABLE", {"waits_for_disk": False}, Durability.FSYNC),
    ("REDIS_NO_REPLICA", {}, Durability.REPLICATED),
    (
        "REDIS_WAITAOF_MISSING",
        {"append_fsync": "always", "waits_for_disk": False, "replicas": 1},
        Durability.REPLICATED,
    ),
    ("REDIS_AOF_PAUSES", {"no_fsync_on_rewrite": True}, Durability.EVERYSEC),
    ("REDIS_AOF_FAILED", {"writes_succeed": False}, Durability.EVERYSEC),
    ("REDIS_EVICTION", {"eviction": "allkeys-lru"}, Durability.EVERYSEC),
    ("REDIS_EVICTION", {"eviction": "volatile-ttl"}, Durability.MEMORY),
]
REFUSED_POSTGRES: list[tuple[str, dict[str, Any]]] = [
    ("POSTGRES_VERSION", {"version": 140012}),
    ("POSTGRES_RECOVERY", {"in_recovery": True}),
    ("POSTGRES_FSYNC", {"fsync": False}),
    ("POSTGRES_FULL_PAGE_WRITES", {"full_page_writes": False}),
    ("POSTGRES_SYNCHRONOUS_COMMIT", {"synchronous_commit": "off"}),
    ("POSTGRES_ENCODING", {"encoding": "SQL_ASCII"}),
    ("POSTGRES_SCHEMA", {"schema_trouble": "the database lacks 0002_pre_catalogue"}),
    ("POSTGRES_PARTITIONS", {"ledger_days": DAYS - {TODAY + timedelta(2)}}),
    ("POSTGRES_PARTITIONS", {"ledger_days": DAYS - {TODAY - timedelta(7)}}),
    ("POSTGRES_DEFAULT_PARTITION", {"default_partition": "events_rest"}),
]


def test_nothing_is_found_where_all_is_safe() -> None:
    assert of_redis() == {}
    assert of_postgres() == {}


@pytest.mark.parametrize(("code", "facts", "durability"), REFUSED_REDIS)
def test_an_unsafe_redis_is_refused_by_its_one_rule(
    code: str, facts: dict[str, Any], durability: Durability
) -> None:
    found = of_redis(durability, **facts)
    assert list(found) == [code]
    assert found[code].severity is Severity.REFUSE


@pytest.mark.parametrize(("code", "facts"), REFUSED_POSTGRES)
def test_an_unsafe_postgres_is_refused_by_its_one_rule(code: str, facts: dict[str, Any]) -> None:
    found = of_postgres(**facts)
    assert list(found) == [code]
    assert found[code].severity is Severity.REFUSE


def test_every_rule_is_tried_here() -> None:
    waits = {"REDIS_UNREACHABLE", "REDIS_LOADING", "POSTGRES_UNREACHABLE"}
    warns = {"REDIS_MEMORY_UNLIMITED", "REDIS_UNCHECKED"}
    tried = {code for code, *_ in REFUSED_REDIS} | {code for code, _ in REFUSED_POSTGRES} | waits | warns
    assert tried == {rule.code for rule in RULES}


def test_a_store_that_is_away_is_waited_for_and_nothing_else_is_said_of_it() -> None:
    redis = redis_findings(RedisFacts("redis-cli", trouble="no route"), BOTH, demands())
    assert [(one.code, one.severity, one.what) for one in redis] == [
        ("REDIS_UNREACHABLE", Severity.WAIT, "no route")
    ]
    postgres = postgres_findings(PostgresFacts("psql", trouble="no route"), demands())
    assert [(one.code, one.severity) for one in postgres] == [("POSTGRES_UNREACHABLE", Severity.WAIT)]


def test_a_redis_that_loads_its_files_is_waited_for() -> None:
    found = of_redis(loading=True, append_fsync=None, eviction=None)
    assert list(found) == ["REDIS_LOADING"]
    assert found["REDIS_LOADING"].severity is Severity.WAIT


def test_what_up_runs_is_put_right_by_up_as_there_is_no_redis_cli() -> None:
    ours = replace(demands(), state="/srv/nearcast")
    spoilt: dict[str, Any] = {
        "append_only": False,
        "eviction": "allkeys-lru",
        "writes_succeed": False,
        "memory_limit_bytes": 0,
    }
    found = redis_findings(replace(REDIS, **spoilt), BOTH, ours)
    assert len(found) == 4
    found += redis_findings(RedisFacts("redis-cli", trouble="no route"), BOTH, ours)
    found += postgres_findings(PostgresFacts("psql", trouble="no route"), ours)
    for finding in found:
        assert "/srv/nearcast" in finding.fix
        assert "redis-cli" not in finding.fix
        assert "psql" not in finding.fix
    (theirs,) = redis_findings(replace(REDIS, eviction="allkeys-lru"), BOTH, demands())
    assert theirs.fix.startswith("redis-cli -h there -p 6379 CONFIG SET maxmemory-policy noeviction")


def test_memory_without_a_limit_is_only_warned_of() -> None:
    assert of_redis(memory_limit_bytes=0)["REDIS_MEMORY_UNLIMITED"].severity is Severity.WARN


def test_durability_in_memory_needs_no_file() -> None:
    facts: dict[str, Any] = {
        "append_only": False,
        "append_fsync": "no",
        "no_fsync_on_rewrite": True,
        "waits_for_disk": False,
    }
    assert of_redis(Durability.MEMORY, **facts) == {}


def test_fsync_is_reached_by_either_way() -> None:
    assert of_redis(Durability.FSYNC, append_fsync="always", waits_for_disk=False) == {}
    assert of_redis(Durability.FSYNC, append_fsync="everysec", waits_for_disk=True) == {}
    assert of_redis(Durability.REPLICATED, replicas=1) == {}


def test_an_index_alone_needs_no_file_but_keeps_every_key() -> None:
    found = of_redis(stores=("geo",), append_only=False, append_fsync="no", eviction="allkeys-lfu")
    assert list(found) == ["REDIS_EVICTION"]
    assert found["REDIS_EVICTION"].stores == ("geo",)


def test_what_is_hidden_is_named_and_refuses_nothing() -> None:
    hidden: dict[str, Any] = {"append_fsync": None, "no_fsync_on_rewrite": None}
    found = of_redis(Durability.FSYNC, **hidden)
    assert list(found) == ["REDIS_UNCHECKED"]
    assert found["REDIS_UNCHECKED"].severity is Severity.WARN
    assert "appendfsync, no-appendfsync-on-rewrite" in found["REDIS_UNCHECKED"].what


def test_a_missing_partition_stops_only_the_one_who_makes_them() -> None:
    for process, severity in (("gateway", "warn"), ("command", "warn"), ("keeper", "refuse")):
        found = of_postgres(process, today=TODAY + timedelta(1))  # type: ignore[arg-type]
        assert found["POSTGRES_PARTITIONS"].severity == severity
        assert found["POSTGRES_PARTITIONS"].what == "the ledger has no partition for 2026-03-17"


def test_a_schema_that_lacks_the_ledger_is_said_once() -> None:
    found = of_postgres(schema_trouble="the database lacks 0001", ledger_days=None, default_partition="")
    assert list(found) == ["POSTGRES_SCHEMA"]


@pytest.mark.parametrize(
    ("code", "facts", "durability"), [each for each in REFUSED_REDIS if each[0] != "REDIS_NO_REPLICA"]
)
def test_every_fix_of_redis_is_complete(code: str, facts: dict[str, Any], durability: Durability) -> None:
    fix = of_redis(durability, **facts)[code].fix
    assert "{" not in fix
    assert code in {"REDIS_AOF_FAILED"} or "redis-cli -h there -p 6379" in fix


def test_the_fix_of_a_role_names_role_and_database() -> None:
    assert of_postgres(synchronous_commit="off")["POSTGRES_SYNCHRONOUS_COMMIT"].fix == (
        'psql there -c "alter role \\"clerk\\" in database \\"jobs\\" set synchronous_commit = on"'
    )


def test_codes_are_unique() -> None:
    codes = [rule.code for rule in RULES]
    assert len(set(codes)) == len(codes)

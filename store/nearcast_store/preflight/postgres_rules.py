"""What Postgres must be set to."""

from datetime import timedelta

from nearcast_store.counting.partitions import DAYS_AHEAD, DAYS_BACK
from nearcast_store.preflight.facts import PostgresFacts
from nearcast_store.preflight.finding import Finding, Severity, Store
from nearcast_store.preflight.rule import Demands, Rule, when

OLDEST = 150000
_POSTGRES: tuple[Store, ...] = ("postgres",)
_RELOAD = '-c "select pg_reload_conf()" (as a superuser; not while the server\'s command line sets it)'


def postgres_findings(facts: PostgresFacts, demands: Demands) -> list[Finding]:
    """Of the database."""
    names = {
        "psql": facts.psql,
        "role": facts.role,
        "database": facts.database,
        "default_partition": facts.default_partition or "",
    }
    found = (rule.find(facts, _POSTGRES, demands, names) for rule in POSTGRES_RULES)
    return [finding for finding in found if finding]


def _postgres_version(facts: PostgresFacts, _: Demands) -> str:
    if facts.version is None or facts.version >= OLDEST:
        return ""
    return f"server_version is {facts.version // 10000}.{facts.version % 10000}"


def _synchronous_commit(facts: PostgresFacts, _: Demands) -> str:
    return f"synchronous_commit is off for role {facts.role}" if facts.synchronous_commit == "off" else ""


def _encoding(facts: PostgresFacts, _: Demands) -> str:
    if facts.encoding in {None, "UTF8"}:
        return ""
    return f"the encoding of database {facts.database} is {facts.encoding}"


def _partitions(facts: PostgresFacts, demands: Demands) -> str:
    if facts.ledger_days is None:
        return ""
    wanted = [demands.today + timedelta(days) for days in range(-DAYS_BACK, DAYS_AHEAD + 1)]
    missing = [f"{day}" for day in wanted if day not in facts.ledger_days]
    return f"the ledger has no partition for {', '.join(missing)}" if missing else ""


def _default_partition(facts: PostgresFacts, _: Demands) -> str:
    name = facts.default_partition
    return f"table events has the default partition {name}" if name else ""


POSTGRES_RULES: tuple[Rule[PostgresFacts], ...] = (
    Rule(
        "POSTGRES_UNREACHABLE",
        Severity.WAIT,
        _POSTGRES,
        "Postgres answers",
        "nothing can be said of its settings before it does",
        '{psql} -c "select 1"; start Postgres, or correct postgres.dsn',
        lambda facts, _: facts.trouble,
        fix_of_ours="`nearcast up --state {state}` runs it and starts it again;"
        " {state}/logs/postgres.log says more",
    ),
    Rule(
        "POSTGRES_VERSION",
        Severity.REFUSE,
        _POSTGRES,
        f"version {OLDEST // 10000} or newer",
        "the schema and the queries need it",
        '{psql} -c "show server_version"; upgrade with pg_upgrade',
        _postgres_version,
    ),
    Rule(
        "POSTGRES_RECOVERY",
        Severity.REFUSE,
        _POSTGRES,
        "the server is no standby",
        "a standby takes no writes, and what it shows may be behind what was acknowledged",
        'point postgres.dsn at the primary, or make this one: {psql} -c "select pg_promote()"',
        when("the server is in recovery", lambda facts: bool(facts.in_recovery)),
    ),
    Rule(
        "POSTGRES_FSYNC",
        Severity.REFUSE,
        _POSTGRES,
        "fsync on",
        "a crash of the machine can leave a database that is beyond repair, counts and all",
        f'{{psql}} -c "alter system set fsync = on" {_RELOAD}',
        when("fsync is off", lambda facts: facts.fsync is False),
    ),
    Rule(
        "POSTGRES_FULL_PAGE_WRITES",
        Severity.REFUSE,
        _POSTGRES,
        "full_page_writes on",
        "a page that was half written in a crash stays so",
        f'{{psql}} -c "alter system set full_page_writes = on" {_RELOAD}',
        when("full_page_writes is off", lambda facts: facts.full_page_writes is False),
    ),
    Rule(
        "POSTGRES_SYNCHRONOUS_COMMIT",
        Severity.REFUSE,
        _POSTGRES,
        "synchronous_commit is not off for our role",
        "the keeper acknowledges what it folded; a crash would undo folds that nobody reads again",
        '{psql} -c "alter role \\"{role}\\" in database \\"{database}\\" set synchronous_commit = on"',
        _synchronous_commit,
    ),
    Rule(
        "POSTGRES_ENCODING",
        Severity.REFUSE,
        _POSTGRES,
        "the database's encoding is UTF8",
        "ids and titles in other scripts could not be stored",
        "{psql} -c \"create database nearcast encoding 'UTF8' template template0\", and move there",
        _encoding,
    ),
    Rule(
        "POSTGRES_SCHEMA",
        Severity.REFUSE,
        _POSTGRES,
        "the schema fits this version of nearcast",
        "queries would fail, or write what another version cannot read",
        "nearcast migrate, or start the version of nearcast that the message names",
        lambda facts, _: facts.schema_trouble or "",
    ),
    Rule(
        "POSTGRES_PARTITIONS",
        Severity.REFUSE,
        _POSTGRES,
        f"the ledger has a partition for each day from {DAYS_BACK} days ago to {DAYS_AHEAD} days ahead",
        "an event of such a day could not be stored; the keeper makes partitions, and here it could not",
        '{psql} -c "grant create on schema public to \\"{role}\\"" '
        '-c "alter table events owner to \\"{role}\\""; then the keeper makes them',
        _partitions,
        only_warns=("gateway", "command"),
    ),
    Rule(
        "POSTGRES_DEFAULT_PARTITION",
        Severity.REFUSE,
        _POSTGRES,
        "the ledger has no default partition",
        "events would go there, and the partition of their day could then no longer be made",
        '{psql} -c "alter table events detach partition {default_partition}", then insert its rows '
        "into events",
        _default_partition,
    ),
)

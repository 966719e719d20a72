"""What one Redis must be set to, for the log, for the index, or for both."""

from collections.abc import Sequence

from nearcast_ledger.event import Durability
from nearcast_store.preflight.facts import RedisFacts
from nearcast_store.preflight.finding import Finding, Severity, Store
from nearcast_store.preflight.rule import Demands, Rule, when

OLDEST = (6, 2)
_LOG: tuple[Store, ...] = ("log",)
_BOTH: tuple[Store, ...] = ("log", "geo")
_SET = "{cli} CONFIG SET"
_KEEP = "&& {cli} CONFIG REWRITE (on a managed Redis: in its parameter group)"
_UP = "end `nearcast up --state {state}` and start it again: it sets this at every start"


def redis_findings(facts: RedisFacts, stores: Sequence[Store], demands: Demands) -> list[Finding]:
    """Of one Redis that does the work of these stores."""
    names = {"cli": facts.cli}
    found = (rule.find(facts, stores, demands, names) for rule in REDIS_RULES)
    return [finding for finding in found if finding]


def _redis_version(facts: RedisFacts, _: Demands) -> str:
    parts = (facts.version or "").split(".")[:2]
    if len(parts) < 2 or not all(part.isdecimal() for part in parts):
        return ""
    return f"redis_version is {facts.version}" if tuple(map(int, parts)) < OLDEST else ""


def _append_only(facts: RedisFacts, demands: Demands) -> str:
    asked = demands.durability
    if asked is Durability.MEMORY or facts.append_only is not False:
        return ""
    return f"appendonly is no, and log.durability is {asked.name.lower()}"


def _append_fsync(facts: RedisFacts, demands: Demands) -> str:
    asked = demands.durability
    if asked is Durability.MEMORY or facts.append_fsync in {None, "always", "everysec"}:
        return ""
    return f"appendfsync is {facts.append_fsync}, and log.durability is {asked.name.lower()}"


def _fsync_reachable(facts: RedisFacts, demands: Demands) -> str:
    if demands.durability is not Durability.FSYNC or facts.append_fsync == "always":
        return ""
    if not _lacks_wait(facts):
        return ""
    said = facts.append_fsync or "hidden"
    return f"appendfsync is {said} and there is no WAITAOF, and log.durability is fsync"


def _replicas_reachable(facts: RedisFacts, demands: Demands) -> str:
    if demands.durability < Durability.REPLICATED or not _lacks_wait(facts):
        return ""
    return "there is no WAITAOF, and log.durability is replicated"


def _lacks_wait(facts: RedisFacts) -> bool:
    # WAITAOF is refused for want of a file too, and that has a finding of its own.
    return facts.append_only is not False and facts.waits_for_disk is False


def _fsync_on_rewrite(facts: RedisFacts, demands: Demands) -> str:
    if demands.durability is Durability.MEMORY or not facts.no_fsync_on_rewrite:
        return ""
    return "no-appendfsync-on-rewrite is yes"


def _replicas(facts: RedisFacts, demands: Demands) -> str:
    if demands.durability < Durability.REPLICATED or facts.replicas != 0:
        return ""
    return "connected_slaves is 0, and log.durability is replicated"


def _unlimited(facts: RedisFacts, _: Demands) -> str:
    return "maxmemory is 0" if facts.memory_limit_bytes == 0 else ""


def _evicts(facts: RedisFacts, _: Demands) -> str:
    return "" if facts.eviction in {None, "noeviction"} else f"maxmemory-policy is {facts.eviction}"


def _unchecked(facts: RedisFacts, _: Demands) -> str:
    if facts.trouble or facts.loading:
        return ""
    asked = {
        "version": facts.version,
        "role": facts.role,
        "appendonly": facts.append_only,
        "appendfsync": facts.append_fsync,
        "no-appendfsync-on-rewrite": facts.no_fsync_on_rewrite,
        "aof_last_write_status": facts.writes_succeed,
        "maxmemory": facts.memory_limit_bytes,
        "maxmemory-policy": facts.eviction,
    }
    hidden = [name for name, value in asked.items() if value is None]
    return f"the server hides {', '.join(hidden)}: not checked" if hidden else ""


REDIS_RULES: tuple[Rule[RedisFacts], ...] = (
    Rule(
        "REDIS_UNREACHABLE",
        Severity.WAIT,
        _BOTH,
        "Redis answers",
        "nothing can be said of its settings before it does",
        "{cli} PING; start Redis, or correct redis.geo_url and redis.log_url",
        lambda facts, _: facts.trouble,
        fix_of_ours="`nearcast up --state {state}` runs it and starts it again;"
        " {state}/logs/redis.log says more",
    ),
    Rule(
        "REDIS_LOADING",
        Severity.WAIT,
        _BOTH,
        "Redis has read its files",
        "until then it refuses every command",
        "wait; {cli} INFO persistence shows how far it is",
        when("it still loads its files", lambda facts: bool(facts.loading)),
        fix_of_ours="wait; {state}/logs/redis.log shows how far it is",
    ),
    Rule(
        "REDIS_VERSION",
        Severity.REFUSE,
        _BOTH,
        f"version {'.'.join(map(str, OLDEST))} or newer, or Valkey",
        "older ones lack commands of the index and the log, such as GEOSEARCH and XAUTOCLAIM",
        "install Redis 6.2 or newer, or Valkey; {cli} INFO server shows what runs",
        _redis_version,
    ),
    Rule(
        "REDIS_REPLICA",
        Severity.REFUSE,
        _BOTH,
        "role master",
        "a replica takes no writes, and throws away what it had when it follows another",
        "point redis.geo_url and redis.log_url at the master, or make this one: {cli} REPLICAOF NO ONE",
        lambda facts, _: f"role is {facts.role}" if facts.role not in {None, "master"} else "",
    ),
    Rule(
        "REDIS_AOF_OFF",
        Severity.REFUSE,
        _LOG,
        "appendonly yes, unless log.durability is memory",
        "acknowledged events that are not counted yet are gone when Redis ends, however it ends",
        f"{_SET} appendonly yes {_KEEP}",
        _append_only,
        fix_of_ours=_UP,
    ),
    Rule(
        "REDIS_AOF_NOT_SYNCED",
        Severity.REFUSE,
        _LOG,
        "appendfsync everysec or always, unless log.durability is memory",
        "what was acknowledged may stay off the disk for half a minute and die with the machine",
        f"{_SET} appendfsync everysec {_KEEP}",
        _append_fsync,
        fix_of_ours=_UP,
    ),
    Rule(
        "REDIS_FSYNC_UNREACHABLE",
        Severity.REFUSE,
        _LOG,
        "for log.durability fsync: appendfsync always, or a server with WAITAOF",
        "no answer could ever say that an event is on the disk, so every event would be refused",
        f"{_SET} appendfsync always {_KEEP}; or upgrade to Redis 7.2, or set log.durability = everysec",
        _fsync_reachable,
    ),
    Rule(
        "REDIS_WAITAOF_MISSING",
        Severity.REFUSE,
        _LOG,
        "for log.durability replicated: a server with WAITAOF",
        "no answer could ever say that a second disk holds the event, so every event would be refused",
        "upgrade to Redis 7.2 or Valkey; {cli} INFO server shows what runs; or set log.durability = fsync",
        _replicas_reachable,
    ),
    Rule(
        "REDIS_AOF_PAUSES",
        Severity.REFUSE,
        _LOG,
        "no-appendfsync-on-rewrite no, unless log.durability is memory",
        "while the file is rewritten nothing is brought to the disk, for as long as that takes",
        f"{_SET} no-appendfsync-on-rewrite no {_KEEP}",
        _fsync_on_rewrite,
        fix_of_ours=_UP,
    ),
    Rule(
        "REDIS_AOF_FAILED",
        Severity.REFUSE,
        _LOG,
        "aof_last_write_status ok",
        "Redis could not write its file, so it refuses writes and what it took last may be gone",
        "make room on its disk (df -h, and the log of Redis); it tries again by itself",
        when("aof_last_write_status is err", lambda facts: facts.writes_succeed is False),
        fix_of_ours="make room on the disk of {state} (df -h {state}); it tries again by itself",
    ),
    Rule(
        "REDIS_NO_REPLICA",
        Severity.REFUSE,
        _LOG,
        "for log.durability replicated: at least one connected replica",
        "no append can be confirmed by a second server, so every event would be refused",
        "attach one, with appendonly yes: redis-cli -h <replica> REPLICAOF <this host> <port>;"
        " or set log.durability = fsync",
        _replicas,
    ),
    Rule(
        "REDIS_EVICTION",
        Severity.REFUSE,
        _BOTH,
        "maxmemory-policy noeviction",
        "a full Redis would silently delete unread events, the keeper's place among them, and items",
        f"{_SET} maxmemory-policy noeviction {_KEEP}",
        _evicts,
        fix_of_ours=_UP,
    ),
    Rule(
        "REDIS_MEMORY_UNLIMITED",
        Severity.WARN,
        _BOTH,
        "maxmemory above 0",
        "a backlog grows until the machine ends Redis, where a limit would make it refuse events",
        f"{_SET} maxmemory 2gb {_KEEP}; with about half of the machine's memory",
        _unlimited,
        fix_of_ours=_UP,
    ),
    Rule(
        "REDIS_UNCHECKED",
        Severity.WARN,
        _BOTH,
        "INFO and CONFIG GET are allowed",
        "a managed Redis often forbids CONFIG; then only its own documentation says what it keeps",
        "{cli} ACL SETUSER <user> +info +config|get; or compare the parameter group with this page",
        _unchecked,
    ),
)

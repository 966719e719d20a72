"""nearcast replay: make a logged decision again and compare it with what was answered."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID

import click

from nearcast_cli.finding import Database, database_options, json_option
from nearcast_cli.requestids import to_request_id
from nearcast_cli.tenant import tenant_option

if TYPE_CHECKING:
    from nearcast_cli.operating import Records
    from nearcast_server.replaying import Habits, Replayed

_MOST_TOLD = 20


@click.command("replay")
@click.argument("request_id")
@tenant_option
@database_options
@json_option
def command(request_id: str, tenant: str, database: Database, as_json: bool) -> int:
    """Make a logged decision again: the same feed, items, order and scores to 1e-9?

    REQUEST_ID is what the answer said. Exit status: 0 equal, 1 different, 3 not logged, 4 logged but without
    all it takes to make it again; 2 for an id that is none. What differs is shown field by field.
    """
    from nearcast_cli.printing import print_json
    from nearcast_server.replaying import EXIT_STATUS

    name = to_request_id(request_id)
    replayed = asyncio.run(_replay(database, tenant, name))
    if as_json:
        print_json(_plain(name, tenant, replayed))
    else:
        _tell(name, replayed)
    return EXIT_STATUS[replayed.status]


async def _replay(database: Database, tenant: str, request_id: UUID) -> "Replayed":
    from nearcast_cli.finding import require_dsn
    from nearcast_cli.ledgers import open_ledger
    from nearcast_server.replaying import replay, why_not_logged
    from nearcast_store.decisions.postgres import PostgresDecisionStore

    process = database.process({})
    async with open_ledger(require_dsn(process, database.state)) as ledger:
        tenant_id = await ledger.records.tenant_id(tenant)
        raw = await PostgresDecisionStore(ledger.pool).find(tenant_id, request_id)
        if raw is not None:
            return replay(raw)
        habits = await _habits(ledger.records, tenant_id, process.keeper.decision_keep_days)
    return why_not_logged(request_id, habits, datetime.now(UTC))


async def _habits(records: "Records", tenant_id: int, keep_days: int) -> "Habits":
    from nearcast_server.replaying import Habits

    revision, keyring = await records.policies.current(tenant_id), await records.policies.keyring(tenant_id)
    return Habits(tenant_id, revision.policy, [key.secret for key in keyring.keys], keep_days)


def _tell(request_id: UUID, replayed: "Replayed") -> None:
    record = replayed.record
    if record is not None:
        said, outcome = record.circumstances, record.outcome
        moment = datetime.fromtimestamp(said.decided_at, UTC).isoformat(timespec="milliseconds")
        click.echo(
            f"{request_id} of {moment}, logged because of {said.reason}: feed {outcome.feed}"
            f" (propensity {outcome.propensity:.6g}), {len(outcome.postings)} of {said.eligible} candidates,"
            f" policy revision {said.policy_revision}, epoch {said.policy_epoch}"
        )
        if replayed.is_other_build:
            from nearcast_bandit.build import build

            click.echo(f"Another build decided: {said.build}; this one is {build()}.")
    if replayed.status in ("not_logged", "not_replayable"):
        heading = "Not logged" if replayed.status == "not_logged" else "Cannot be made again"
        click.echo(f"{heading}: {replayed.message} ({replayed.reason}).")
        return
    if replayed.status == "equal":
        click.echo("Equal: the same feed, items and order; scores to 1e-9.")
        return
    for each in replayed.differences[:_MOST_TOLD]:
        click.echo(f"{each.field}: answered {each.answered}, made again {each.replayed}")
    unshown = len(replayed.differences) - _MOST_TOLD
    if unshown > 0:
        click.echo(f"… and {unshown} more; --json shows all.")
    click.echo("Different.")


def _plain(request_id: UUID, tenant: str, replayed: "Replayed") -> dict[str, object]:
    from nearcast_bandit.build import build

    document: dict[str, object] = {
        "requestId": str(request_id),
        "tenant": tenant,
        "status": replayed.status,
        "reason": replayed.reason,
        "message": replayed.message,
        "differences": [
            {"field": each.field, "answered": each.answered, "replayed": each.replayed}
            for each in replayed.differences
        ],
        "buildNow": build(),
    }
    if replayed.record is not None:
        said, outcome = replayed.record.circumstances, replayed.record.outcome
        document |= {
            "build": said.build,
            "decidedAt": datetime.fromtimestamp(said.decided_at, UTC).isoformat(),
            "loggedBecauseOf": said.reason,
            "policyRevision": said.policy_revision,
            "policyEpoch": said.policy_epoch,
            "scenario": said.scenario,
            "segment": said.segment,
            "radiusUsedM": said.radius_used_m,
            "candidates": said.eligible,
            "feed": outcome.feed,
            "feedPropensity": outcome.propensity,
            "explore": outcome.explore,
            "postings": list(outcome.postings),
            "scores": list(outcome.scores),
        }
    return document

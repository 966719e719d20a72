"""nearcast record: what a person saw or did."""

import secrets
import time
from typing import TYPE_CHECKING, Any

import click

from nearcast_cli.asking import person_options
from nearcast_cli.checkout import command_name
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.finding import Server, client_options, json_option
from nearcast_cli.places import Milliseconds, Places

if TYPE_CHECKING:
    from nearcast.v1.event_pb2 import Event, EventResult, RecordEventsResponse

_SURVIVES = {
    "MEMORY": "kept in memory only",
    "EVERYSEC": "survives the death of any process",
    "FSYNC": "survives a power cut",
    "REPLICATED": "survives the loss of a machine",
}


@click.command("record")
@click.argument("kind", metavar="KIND")
@click.option("--token", "tokens", multiple=True, metavar="TOKEN", help="Reward token (repeat for several).")
@click.option(
    "--slate", "slate_token", default="", metavar="TOKEN", help="Slate token: all impressions in one."
)
@click.option("--seen", type=Places(), metavar="0,1,4", help="With --slate: what came on screen, from 0.")
@click.option("--dwell-ms", type=Milliseconds(), metavar="MS,MS", help="How long each of them was on screen.")
@click.option("--event-id", default="", metavar="ID", help="UUIDv7 of the event, kept over retries.")
@click.option("--item", "item_id", default="", metavar="ID", help="The item, where there is no token.")
@person_options
@click.option("--session", default="", metavar="ID", help="The visit.")
@click.option("--value", type=float, metavar="X", help="A worth attached to the event.")
@client_options
@json_option
def command(
    kind: str,
    event_id: str,
    server: Server,
    as_json: bool,
    **options: Any,
) -> None:
    """Record that a person saw or did something: impression, view, save, apply or a kind of the policy.

    With the reward token of an answer the event is learned from, and counted once however often it is sent.
    Without one it is stored and not learned from. With the slate token of an answer one event tells of all
    its items that came on screen: `record impression --slate TOKEN --seen 0-3`.
    """
    from nearcast.v1.event_pb2 import RecordEventsRequest
    from nearcast_cli.calling import Gateway

    _check(options)
    if not event_id and not options["tokens"] and not options["slate_token"]:
        event_id = _new_event_id()
    events = _events(kind, event_id, options)
    with Gateway(server.find()) as gateway:
        response = gateway.call(gateway.events.RecordEvents, RecordEventsRequest(events=events))
    _show(kind, event_id, response, as_json)


def _check(options: dict[str, Any]) -> None:
    if options["slate_token"] and options["tokens"]:
        raise click.UsageError("--slate and --token do not go together")
    if options["slate_token"] and options["seen"] is None:
        raise click.UsageError("Missing option '--seen'; places in the answer from 0, such as 0,1,4 or 0-9")
    if options["seen"] is not None and not options["slate_token"]:
        raise click.UsageError("--seen goes with --slate")
    if not (options["slate_token"] or options["tokens"] or options["item_id"]):
        raise click.UsageError(
            f"Missing option '--token'; every item of `{command_name()} recommend` has one."
        )


def _events(kind: str, event_id: str, options: dict[str, Any]) -> "list[Event]":
    from nearcast.v1.event_pb2 import Event
    from nearcast_ledger.seen import bitmap_of

    return [
        Event(
            kind=kind,
            reward_token=token,
            event_id=event_id,
            item_id=options["item_id"],
            person=options["person"],
            session_id=options["session"],
            value=options["value"],
            slate_token=options["slate_token"],
            seen=bitmap_of(options["seen"] or ()),
            dwell_ms=options["dwell_ms"] or (),
        )
        for token in options["tokens"] or ("",)
    ]


def _new_event_id() -> str:
    from nearcast_ledger.requestid import RequestIds

    return str(RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes).next())


def _show(kind: str, event_id: str, response: "RecordEventsResponse", as_json: bool) -> None:
    from nearcast.v1.event_pb2 import Durability
    from nearcast_cli.printing import print_message

    if as_json:
        print_message(response)
    else:
        durability = Durability.Name(response.durability).removeprefix("DURABILITY_")
        for result in response.results:
            if result.outcome.code == 0:
                click.echo(f"{kind}: {_fate(result)}; {_SURVIVES.get(durability, durability)}.")
        if event_id and response.results[0].outcome.code == 0:
            click.echo(f"Event id {event_id}: send it again with this id and it counts once.")
    _refuse(response)


def _fate(result: "EventResult") -> str:
    from nearcast.v1.error_reason_pb2 import ErrorReason

    if result.learned:
        return "recorded, will be learned from"
    reason = ErrorReason.Name(result.outcome.reason).removeprefix("ERROR_REASON_")
    return f"{result.outcome.message} ({reason})"


def _refuse(response: "RecordEventsResponse") -> None:
    """End in a failure when any event was refused, told after what was taken."""
    from nearcast.v1.error_reason_pb2 import ErrorReason

    for place, result in enumerate(response.results):
        outcome = result.outcome
        if outcome.code != 0:
            reason = ErrorReason.Name(outcome.reason).removeprefix("ERROR_REASON_")
            raise CommandFailedError(
                outcome.message, reason=reason, field=outcome.field, details={"event": place}
            )

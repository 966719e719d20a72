"""The page of errors: what each reason means is the contract's comment, its status is read from the source.

`python -m tests.contract.errorpage > docs/reference/errors.md`
"""

import sys
from pathlib import Path

from tests.contract.protofiles import everything
from tests.contract.reasons import REASONS, statuses

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "errors.md"
RESERVED = "(not given yet)"
_CORRECT = "Correct the field that the violation names."
_WAIT = "Send the same call again after the delay in RetryInfo."

ADVICE = {
    "MALFORMED_MESSAGE": "Make the request with stubs of this contract; text fields hold UTF-8.",
    "REQUIRED_FIELD": "Set the field.",
    "LATITUDE_OUT_OF_RANGE": "Send degrees; the message says when the two look swapped.",
    "LONGITUDE_OUT_OF_RANGE": "Send degrees in [-180, 180]; nothing is wrapped.",
    "NOT_FINITE": _CORRECT,
    "LOCATION_REQUIRED": "Set the location; a real 0, 0 must be set too.",
    "RADIUS_OUT_OF_RANGE": "Send metres within the maximum in the metadata, or leave it unset.",
    "LIMIT_OUT_OF_RANGE": "Send 0 for the default, or more.",
    "PAGE_SIZE_OUT_OF_RANGE": "Send 0 for the default, or more.",
    "ID_LENGTH": _CORRECT,
    "ID_CHARSET": "Send an opaque id; hash or encode what has other characters.",
    "LIST_TOO_LONG": "Send fewer entries.",
    "TEXT_TOO_LONG": "Shorten the text.",
    "UNKNOWN_ENUM_VALUE": "Send one of the values that the message names.",
    "PAGE_TOKEN_INVALID": "Ask again from the first page.",
    "READ_MASK_INVALID": "Name fields of Item.",
    "SEGMENT_UNKNOWN": "Name a segment of the policy, or none for everybody.",
    "SCENARIO_UNKNOWN": "Name a scenario of the policy, or leave it empty for `default`.",
    "EMPTY_BATCH": "Send at least one entry.",
    "BATCH_TOO_LARGE": "Split the call; the metadata holds the maximum.",
    "DUPLICATE_ID_IN_BATCH": "Nothing, if they are equal; otherwise send the other in a call of its own.",
    "REACH_OUT_OF_RANGE": "Send metres, or leave it unset.",
    "TIME_RANGE": _CORRECT,
    "TIME_ZONE_UNKNOWN": "Name an IANA zone such as Europe/Oslo.",
    "HOURS_INVALID": _CORRECT,
    "TAG_INVALID": _CORRECT,
    "URL_INVALID": "Send a full http or https address.",
    "ATTRIBUTES_LIMIT": "Send fewer or shorter attributes.",
    "VERSION_STALE": "Drop the entry: something newer is stored.",
    "ETAG_MISMATCH": "Read the item again, repeat the change, send it with the new etag.",
    "ITEM_NOT_FOUND": "Nothing, or set allow_missing when deleting.",
    "KIND_UNKNOWN": "Add the kind to the policy, then send the event again; otherwise drop it.",
    "EVENT_ID_REQUIRED": "Give the event a UUIDv7, made once and kept over retries.",
    "EVENT_ID_FORMAT": "Make event ids as UUIDv7 in their 36-character form.",
    "EVENT_TOO_OLD": "Drop the event: it can no longer be told from a repeat.",
    "EVENT_IN_FUTURE": "Set the sender's clock, or send the event again later.",
    "EVENT_TOO_LARGE": "Send fewer or smaller properties.",
    "DUPLICATE_IN_BATCH": "Nothing: the event is taken, once.",
    "TIMESTAMP_RANGE": _CORRECT,
    "VALUE_OUT_OF_RANGE": _CORRECT,
    "PROPERTIES_LIMIT": "Send fewer, smaller or flatter properties.",
    "TOKEN_MISSING": "Send the reward token of the answer that showed the item, if there was one.",
    "TOKEN_INVALID": "Send the token as it came; without an event id the event is refused.",
    "TOKEN_EXPIRED": "Nothing: send events sooner if they shall be learned from.",
    "TOKEN_SUBJECT": "Leave the person unset when a guest has logged in; without an event id it is refused.",
    "MISSING_CREDENTIALS": "Send metadata `authorization: Bearer <key>`.",
    "INVALID_API_KEY": "Send a key that `nearcast keys` made and that is neither expired nor revoked.",
    "AMBIGUOUS_CREDENTIALS": "Send one authorization header.",
    "INSUFFICIENT_SCOPE": "Use a key of a role in the metadata; never give such a key to an app.",
    "TENANT_SUSPENDED": "Ask the operator.",
    "CANDIDATES_UNAVAILABLE": _WAIT,
    "STORE_UNAVAILABLE": f"{_WAIT} Writes may be repeated.",
    "MESSAGE_TOO_LARGE": "Send smaller messages; the metadata holds the maximum in bytes.",
    "INGEST_OVERLOADED": f"{_WAIT} The metadata has the cause, and how many events to put into a batch.",
    "LOG_UNAVAILABLE": f"{_WAIT} Events are counted once however often they are sent.",
    "SERVER_NOT_READY": _WAIT,
    "DEADLINE_EXCEEDED": "Give the call more time, or ask for less; sending it again is harmless.",
    "INTERNAL": "Report the incident id in the metadata: the server's log has the cause.",
    "TEXT_CHARSET": "Take out control characters.",
    "VERSION_OUT_OF_RANGE": _CORRECT,
    "STREAM_LIMIT": "Close a stream, share one among several senders, or use another key.",
    "SEQUENCE": "Number batches upwards; on a new stream begin above `resume_after`.",
    "HELLO_REQUIRED": "Begin the stream with one hello, then send batches.",
    "STREAM_VERSION": "Speak the version in the metadata, or a lower one.",
    "CREDENTIALS_EXPIRED": "Open another stream with a key that is valid, and send again what has no ack.",
    "SLATE_FIELDS": "Send it as an impression, with a person, a session, times and ids alone.",
    "SEEN_INVALID": "Set a bit for each item that came on screen: the first item is the lowest bit.",
    "DWELL_INVALID": "Send one value for each item seen, or none.",
    "POLYGON_MALFORMED": "Send the text of a GeoJSON Polygon or MultiPolygon: a geometry, not a Feature.",
    "POLYGON_INVALID": "Repair the ring that the message names; see docs/markets.md.",
    "POLYGON_TOO_LARGE": "Simplify the polygon to fewer positions.",
    "MARKET_UNKNOWN": "Name an enabled market that ListMarkets lists, or none.",
    "MARKET_NOT_FOUND": "Nothing, or set allow_missing when deleting.",
    "MARKET_LIMIT": "Delete markets that are not needed.",
    "REACH_CONFLICT": "Send one of the two.",
    "POLICY_INVALID": "Correct the keys that the violations name; `nearcast policy check` finds the same.",
    "POLICY_REVISION_NOT_FOUND": "Name a revision that ListPolicyRevisions lists.",
    "POLICY_CHANGED": "Look at the revision in force, in the metadata; repeat the change with its number.",
    "REQUEST_ID_REUSED": "Take a new request id for every change that is another one.",
    "DECISION_NOT_LOGGED": "Ask for `explain`, or raise decisions.log_share; a new record takes seconds.",
    "REQUEST_ID_FORMAT": "Send request_id as the answer named it.",
    "EXPERIMENT_NOT_FOUND": "Name an experiment that ListExperiments lists.",
    "EXPERIMENT_EXISTS": "Take another name: one that was used tells the events of that experiment apart.",
    "EXPERIMENT_RUNNING": "Stop the one in the metadata first, or wait.",
    "SHARE_OUT_OF_RANGE": "Send a share above 0 and at most 1.",
    "EXPERIMENT_UNFIT": "Leave the keys that the violations name as they are; see docs/experiments.md.",
    "EXPERIMENT_STOPPED": "Nothing: it does not run.",
    "RESUME_TOKEN_INVALID": "Begin again without the token, with a snapshot.",
}

PREFACE = """\
# Errors

Every refused call carries a `google.rpc.ErrorInfo` with domain `nearcast` and one of these reasons, in the
trailer `grpc-status-details-bin`, never more than 4 KB. `INVALID_ARGUMENT` adds `BadRequest` with the path of
the field and the rule it breaks, `UNAVAILABLE` adds `RetryInfo`: only calls refused with that status are
worth repeating as they are. Entries of a batch have their own `Outcome` with the same reasons, inside an
answer that is `OK`; an entry may be OK and still have a reason worth knowing. Reasons are stable, messages
are for people.

gRPC itself answers without any reason: `RESOURCE_EXHAUSTED` for a request beyond twice
`gateway.max_message_bytes` or too many calls at once, `UNIMPLEMENTED` for what is not served.

Generated: `python -m tests.contract.errorpage`.

| Reason | Status | Meaning | What to do |
|---|---|---|---|
"""


def page() -> str:
    """The reference page, in Markdown."""
    meanings = {
        one.name.removeprefix("ERROR_REASON_"): one.comment.replace("\n", " ")
        for one in everything()
        if one.parent == "ErrorReason"
    }
    given = statuses()
    rows = [
        f"| `{reason}` | {_shown(given.get(reason, set()))} | {meaning} | {ADVICE[reason]} |"
        for reason, meaning in meanings.items()
        if reason in REASONS
    ]
    return PREFACE + "\n".join(sorted(rows)) + "\n"


def _shown(codes: set[str]) -> str:
    return ", ".join(f"`{code}`" for code in sorted(codes)) or RESERVED


if __name__ == "__main__":
    sys.stdout.write(page())

"""Outcomes of entries, as the wire has them."""

import grpc

from nearcast.v1 import outcome_pb2
from nearcast_catalogue.outcomes import Outcome

_ADVICE = {
    "NONE": outcome_pb2.ADVICE_UNSPECIFIED,
    "DROP": outcome_pb2.ADVICE_DROP,
    "RETRY": outcome_pb2.ADVICE_RETRY,
}


def to_outcome(outcome: Outcome) -> outcome_pb2.Outcome:
    """The wire's outcome; a reason that the contract does not name is a fault of ours and raises."""
    reason = f"ERROR_REASON_{outcome.reason}" if outcome.reason else "ERROR_REASON_UNSPECIFIED"
    return outcome_pb2.Outcome(
        code=grpc.StatusCode[outcome.code].value[0],
        reason=reason,
        message=outcome.message[:256],
        field=outcome.field[:128],
        advice=_ADVICE[outcome.advice],
    )

"""Logged decisions, from plain values to the wire."""

from nearcast.v1 import admin_pb2
from nearcast_server.replaying import Replayed
from nearcast_server.retelling import DecisionTold, ItemTold
from nearcast_server.rpc.items import to_stamp

_REPLAYS = {"equal": "REPLAY_EQUAL", "different": "REPLAY_DIFFERENT"}
_MOST_DIFFERENCES = 100


def to_decision(told: DecisionTold) -> admin_pb2.ExplainDecisionResponse:
    """The wire's decision."""
    said, outcome = told.record.circumstances, told.record.outcome
    return admin_pb2.ExplainDecisionResponse(
        request_id=str(said.request_id),
        decided_at=to_stamp(said.decided_at),
        build=said.build,
        policy_revision=said.policy_revision,
        policy_epoch=said.policy_epoch,
        feed=outcome.feed,
        feed_propensity=outcome.propensity,
        scenario=said.scenario,
        candidates=said.eligible,
        logged_because_of=said.reason,
        replay=_REPLAYS.get(told.replayed.status, "REPLAY_NOT_POSSIBLE"),
        differences=_differences(told.replayed),
        items=[_item(each) for each in told.items],
    )


def _differences(replayed: Replayed) -> list[str]:
    if replayed.message:
        return [replayed.message]
    return [
        f"{each.field}: answered {each.answered}, made again {each.replayed}"
        for each in replayed.differences[:_MOST_DIFFERENCES]
    ]


def _item(told: ItemTold) -> admin_pb2.DecidedItem:
    return admin_pb2.DecidedItem(
        item_id=told.item_id,
        posting=told.posting,
        standing=f"STANDING_{told.standing}",
        rank=told.rank,
        score=told.score,
        kinds=[
            admin_pb2.DecidedKind(
                kind=each.kind, weight=each.weight, posterior_a=each.a, posterior_b=each.b, draw=each.draw
            )
            for each in told.kinds
        ],
        propensities=told.chances,
    )

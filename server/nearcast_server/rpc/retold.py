"""Logged decisions, from plain values to the wire."""

from nearcast.v1 import admin_pb2
from nearcast_server.decidedbeliefs import KindTold
from nearcast_server.replaying import Replayed
from nearcast_server.retelling import DecisionTold, ItemTold
from nearcast_server.rpc.items import to_stamp
from nearcast_server.rpc.origins import to_beginning

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
        radius_used_m=said.radius_used_m,
        capped=said.capped,
        segment=said.segment,
    )


def _differences(replayed: Replayed) -> list[str]:
    if replayed.message:
        return [replayed.message]
    return [
        f"{each.field}: answered {each.answered}, made again {each.replayed}"
        for each in replayed.differences[:_MOST_DIFFERENCES]
    ]


def _item(told: ItemTold) -> admin_pb2.DecidedItem:
    message = admin_pb2.DecidedItem(
        item_id=told.item_id,
        posting=told.posting,
        standing=f"STANDING_{told.standing}",
        rank=told.rank,
        score=told.score,
        kinds=map(_kind, told.kinds),
        propensities=told.chances,
        causes=[f"CAUSE_{cause}" for cause in told.causes],
        drawn_rank=told.drawn_rank,
        moves=[admin_pb2.DecidedMove(rule=each.rule, rank_without=each.rank_without) for each in told.moves],
        is_new=told.is_new,
        changed_since=told.is_changed,
    )
    if told.multiplied is not None:
        message.factor = told.multiplied.factor
        for part in told.multiplied.parts:
            message.factors.add(rule=part.rule, name=part.name, factor=part.factor)
        if told.multiplied.distance_m is not None:
            message.distance_m = told.multiplied.distance_m
    return message


def _kind(told: KindTold) -> admin_pb2.DecidedKind:
    message = admin_pb2.DecidedKind(
        kind=told.kind, weight=told.weight, posterior_a=told.a, posterior_b=told.b, draw=told.draw
    )
    if told.begun is not None:
        begun = told.begun
        message.success = begun.success
        if begun.exposure is not None:
            message.exposure = begun.exposure
        message.prior_mean, message.prior_strength = begun.beginning.mean, begun.beginning.strength
        message.prior_origin.CopyFrom(to_beginning(begun.beginning, begun.fit))
    return message

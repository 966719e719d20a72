"""Why items stand where they stand, or are not there, from plain values to the wire."""

import math
from collections.abc import Iterable

from nearcast.v1 import recommend_pb2
from nearcast_bandit.factors import Subject
from nearcast_server.appraising import Appraisal
from nearcast_server.evidence import Beliefs
from nearcast_server.explaining import drawn, multiplied, shown_before
from nearcast_server.recommending import Slate
from nearcast_server.rpc.origins import to_origin
from nearcast_server.searching import subject_of


def explain(
    message: recommend_pb2.ItemExplanation,
    slate: Slate,
    beliefs: Beliefs,
    column: int,
    market: int,
    subject: Subject,
) -> None:
    """What is known of the posting of that column."""
    message.posting = int(beliefs.postings[column])
    message.impressions, message.is_new = shown_before(slate, message.posting)
    message.drawn_rank = slate.finding.drawn_rank(message.posting)
    message.market = slate.view.atlas.id_of(market)
    parts = multiplied(slate, subject)
    message.factor = math.prod(part.factor for part in parts)
    for part in parts:
        message.factors.add(rule=part.rule, name=part.name, factor=part.factor)
    draws = drawn(slate, beliefs, column)
    for row, kind in enumerate(beliefs.kinds):
        prior = beliefs.prior(row, column)
        message.kinds.add(
            kind=kind,
            weight=beliefs.weights[row],
            exposure=beliefs.exposures[row, column],
            success=beliefs.successes[row, column],
            prior_mean=prior.prior.mean,
            prior_strength=prior.prior.strength,
            prior_origin=to_origin(prior, beliefs.priors.fit),
            posterior_a=beliefs.a[row, column],
            posterior_b=beliefs.b[row, column],
            draw=draws[row],
        )


def explained_items(slate: Slate, appraised: Iterable[Appraisal]) -> recommend_pb2.RecommendResponse:
    """What became of items that were asked about, as that part of an answer."""
    answer = recommend_pb2.RecommendResponse()
    for each in appraised:
        message = answer.explained_items.add(
            item_id=each.item_id,
            standing=f"STANDING_{each.standing}",
            causes=[f"CAUSE_{cause}" for cause in each.causes],
            score=each.score,
            rank=each.rank,
        )
        if each.hit is not None and each.beliefs is not None:
            message.distance_m = each.hit.distance_m
            market, subject = each.hit.served.market, subject_of(each.hit)
            explain(message.explanation, slate, each.beliefs, 0, market, subject)
    return answer

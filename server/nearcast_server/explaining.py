"""What an item was scored with: recomputed, because it is a pure function of what the slate knows."""

import numpy as np

from nearcast_bandit.draw import draw_betas
from nearcast_bandit.factors import Part, Subject
from nearcast_bandit.posterior import sharpen
from nearcast_config.orders.ways import way_of
from nearcast_server.evidence import Beliefs
from nearcast_server.recommending import Slate


def multiplied(slate: Slate, subject: Subject) -> list[Part]:
    """The rules by which its score was multiplied; none where the feed goes by something else."""
    factors = slate.search.factors
    return [] if factors is None else factors.parts(subject)


def drawn(slate: Slate, beliefs: Beliefs, column: int) -> list[float]:
    """One draw per kind for the posting of that column; zeros when the feed does not draw."""
    policy, choice = slate.view.revision.policy, slate.decision.choice
    if choice.order not in policy.feeds or way_of(policy, choice.order, by_mean=choice.by_mean).by != "draw":
        return [0.0] * len(beliefs.kinds)
    posting = beliefs.postings[column : column + 1]
    draws = []
    for row, number in enumerate(beliefs.numbers):
        a, b = sharpen(beliefs.a[row, [column]], beliefs.b[row, [column]], policy.exploration.sharpness)
        draws.append(float(np.asarray(draw_betas(slate.decision.seed, posting, number, a, b))[0]))
    return draws


def shown_before(slate: Slate, posting: int) -> tuple[int, bool]:
    """How often it was shown in all, and whether it counts as new."""
    view = slate.view
    impressions = int(view.evidence.impressions_of([posting])[0])
    new = slate.finding.new
    is_few = impressions < view.revision.policy.newcomers.until_exposures
    return impressions, is_few if new is None or posting not in slate.finding.postings else posting in new

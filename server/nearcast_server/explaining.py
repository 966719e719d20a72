"""What an item was drawn with: recomputed, because a draw is a pure function of what the slate knows."""

import numpy as np

from nearcast_bandit.draw import draw_betas
from nearcast_bandit.posterior import sharpen
from nearcast_server.recommending import Placed, Slate


def drawn(slate: Slate, placed: Placed) -> list[float]:
    """One draw per kind; zeros when the feed does not draw."""
    beliefs, column, policy = slate.beliefs, placed.column, slate.view.revision.policy
    feed = policy.feeds.get(slate.decision.choice.feed)
    if feed is None or feed.order != "draw":
        return [0.0] * len(beliefs.kinds)
    posting = beliefs.postings[column : column + 1]
    draws = []
    for row, number in enumerate(beliefs.numbers):
        a, b = sharpen(beliefs.a[row, [column]], beliefs.b[row, [column]], policy.exploration.sharpness)
        draws.append(float(np.asarray(draw_betas(slate.decision.seed, posting, number, a, b))[0]))
    return draws

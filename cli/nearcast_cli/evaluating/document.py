"""A judgement as one JSON document."""

from nearcast_bandit.evaluation.report import Estimate, Evaluation
from nearcast_cli.evaluating.feeds import FeedReport
from nearcast_cli.evaluating.items import ItemReport
from nearcast_cli.evaluating.judgement import Judgement
from nearcast_cli.moment import shown

Plain = dict[str, object]


def document(judgement: Judgement, tenant: str) -> Plain:
    """All that the text says, and every figure behind it."""
    question, evidence = judgement.question, judgement.evidence
    return {
        "tenant": tenant,
        "revisionInForce": question.in_force.number,
        "since": shown(question.days.since_ms),
        "until": shown(question.days.until_ms),
        "market": question.market_id,
        "reward": question.reward,
        "changes": [
            {"key": each.key, "before": each.before, "after": each.after} for each in judgement.changes
        ],
        "verdict": str(judgement.outcome),
        "refusals": judgement.refusals(),
        "missing": judgement.gaps(),
        "notes": judgement.notes(),
        "decisions": {
            "logged": evidence.found,
            "notLookedAt": evidence.unread,
            "ofOtherMarkets": evidence.elsewhere,
            "leftOut": {why.name: count for why, count in evidence.left_out.items()},
            "perDay": {str(day): evidence.by_day[day] for day in sorted(evidence.by_day)},
            "lostExplorations": evidence.lost,
            "eventsNotLearnedFrom": {why.name: count for why, count in evidence.unlearned.items()},
        },
        "items": None if judgement.items is None else _items(judgement.items),
        "feeds": None if judgement.feeds is None else _feeds(judgement.feeds),
    }


def _items(items: ItemReport) -> Plain:
    return {
        "days": items.days,
        "explored": items.explored,
        "unanswered": items.unanswered,
        "inForce": _evaluation(items.current),
        "wanted": _evaluation(items.wanted),
        "markets": [
            {
                "market": market.market_id,
                "requests": market.requests,
                "inForce": _evaluation(market.current),
                "wanted": _evaluation(market.wanted),
            }
            for market in items.markets
        ],
    }


def _feeds(feeds: FeedReport) -> Plain:
    return {
        "sessions": feeds.sessions,
        "inForce": _evaluation(feeds.current),
        "wanted": _evaluation(feeds.wanted),
        "sharesNow": {
            feed: {"inForce": before, "wanted": after} for feed, (before, after) in feeds.shares.items()
        },
    }


def _evaluation(found: Evaluation) -> Plain:
    support = found.support
    return {
        "estimates": {name: _estimate(value) for name, value in found.estimates.items() if name != "logged"},
        "judgedBy": found.judged_by,
        "gain": None if found.gain is None else _estimate(found.gain),
        "verdict": str(found.verdict.outcome),
        "missing": list(found.verdict.missing),
        "support": {
            "requests": support.requests,
            "sessions": support.sessions,
            "rows": support.rows,
            "effectiveSampleSize": support.effective,
            "largestWeight": support.largest_weight,
            "meanWeight": support.mean_weight,
            "meanWeightExpected": support.mean_weight_expected,
            "meanWeightZ": support.mean_weight_z,
            "unsupported": support.unsupported,
        },
        "positions": [
            {
                "position": each.position,
                "rows": each.rows,
                "effectiveSampleSize": each.effective,
                "largestWeight": each.largest_weight,
                "values": {
                    name: {"value": value, "low": each.intervals[name][0], "high": each.intervals[name][1]}
                    for name, value in each.values.items()
                    if name != "logged"
                },
            }
            for each in found.positions
        ],
    }


def _estimate(estimate: Estimate) -> Plain:
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}

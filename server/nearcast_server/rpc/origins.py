"""Where a prior comes from, on the wire."""

from nearcast.v1 import prior_pb2
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.record import Beginning

_LEVELS = {
    Level.CONFIGURED: prior_pb2.PRIOR_LEVEL_CONFIGURED,
    Level.ALL: prior_pb2.PRIOR_LEVEL_ALL,
    Level.MARKET: prior_pb2.PRIOR_LEVEL_MARKET,
    Level.CATEGORY: prior_pb2.PRIOR_LEVEL_CATEGORY,
}


def to_origin(prior: LevelPrior, fit: int) -> prior_pb2.PriorOrigin:
    """The origin of a prior of that fit."""
    return prior_pb2.PriorOrigin(
        level=_LEVELS[prior.level],
        fit=fit,
        items=prior.children,
        exposure=prior.exposures,
        success=prior.successes,
        own_share=prior.own_share,
    )


def to_beginning(told: Beginning, fit: int) -> prior_pb2.PriorOrigin:
    """The same of a prior in a record."""
    return prior_pb2.PriorOrigin(
        level=_LEVELS[told.level],
        fit=fit,
        items=told.items,
        exposure=told.exposure,
        success=told.success,
        own_share=told.own_share,
    )

"""What an operator tunes: one immutable, numbered set of knobs per tenant, changed without a restart."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from nearcast_config.arrangement import Diversity, Pins
from nearcast_config.caps import Caps
from nearcast_config.mastery import Markets, Master
from nearcast_config.newcomers import Newcomers
from nearcast_config.orders.registry import orders_told
from nearcast_config.orders.way import Need
from nearcast_config.segmentation import Segments
from nearcast_config.surfacing import Surface

Slug = Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]


class Radius(Struct, frozen=True, forbid_unknown_fields=True):
    """How far a query looks."""

    default_m: Annotated[
        float, Meta(gt=0, le=500000, description="Metres searched when the query names no radius")
    ] = 5000.0
    max_m: Annotated[
        float, Meta(gt=0, le=500000, description="Largest radius in metres, asked for or widened to")
    ] = 100000.0
    widen_factors: Annotated[
        tuple[Annotated[float, Meta(gt=1, le=1000)], ...],
        Meta(
            max_length=8,
            description="Multiples of the radius tried in turn while too few items are eligible; "
            "empty = never",
        ),
    ] = (2.0, 4.0, 10.0)


class Slate(Struct, frozen=True, forbid_unknown_fields=True):
    """How many items an answer holds."""

    default_limit: Annotated[int, Meta(ge=1, le=200, description="Items when the query names no limit")] = 20
    max_limit: Annotated[
        int, Meta(ge=1, le=200, description="Most items of one answer; a larger limit is read as this")
    ] = 100
    max_candidates: Annotated[
        int,
        Meta(
            ge=100,
            le=1000000,
            description="Most points one call looks at; beyond, the nearest are kept and the answer "
            "says truncated",
        ),
    ] = 10000


class Kind(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of event and what it means for the order of items."""

    weight: Annotated[
        float, Meta(ge=0, le=1000000, description="Worth of one such event in an item's score")
    ] = 0.0
    prior_mean: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            description="Rate per impression that an item is believed to have before anything is known",
        ),
    ] = 0.05
    prior_strength: Annotated[
        float, Meta(ge=0.1, le=100000, description="How many impressions of evidence that belief is worth")
    ] = 20.0
    maturity_hours: Annotated[
        float,
        Meta(
            ge=0,
            le=168,
            description="Mean hours from an impression to this event; young impressions count less. "
            "0 = at once",
        ),
    ] = 0.0
    rewards_feed: Annotated[
        bool, Meta(description="Whether such an event counts as success of the feed that showed the item")
    ] = True


class Priors(Struct, frozen=True, forbid_unknown_fields=True):
    """What an item is believed to be like before it was seen."""

    mode: Annotated[
        Literal["fixed", "learned"],
        Meta(
            description="fixed: each kind's prior_mean and prior_strength, everywhere; learned: those are "
            "where it begins, and the keeper fits all, market and category to what was counted"
        ),
    ] = "fixed"
    fit_every_hours: Annotated[
        float, Meta(ge=0.01, le=720, description="Hours between two fits; a changed policy is fitted at once")
    ] = 1.0
    strength_min: Annotated[
        float, Meta(ge=0.1, le=100000, description="Fewest impressions that a fitted prior is worth")
    ] = 20.0
    strength_max: Annotated[
        float, Meta(ge=0.1, le=100000, description="Most impressions that a fitted prior is worth")
    ] = 20000.0
    mature_share: Annotated[
        float,
        Meta(
            ge=0,
            lt=1,
            description="An item is fitted to once this share of its impressions has had time for the event",
        ),
    ] = 0.9


class Exposure(Struct, frozen=True, forbid_unknown_fields=True):
    """How impressions are turned into evidence."""

    mode: Annotated[
        Literal["seen", "pbm", "cascade"],
        Meta(
            description="seen: impressions are sent for what came on screen and count in full; "
            "pbm: they count by position_curve; cascade: people read from the top and leave at a success, so "
            "those below the last success of their answer do not count"
        ),
    ] = "seen"
    position_curve: Annotated[
        Annotated[tuple[Annotated[float, Meta(gt=0, le=1)], ...], Meta(max_length=200)] | Literal["fitted"],
        Meta(
            description="Share of people who look at position 1, 2, …; the last value goes on. fitted: the "
            "keeper fits it to the exploration share. Used by pbm",
        ),
    ] = ()
    starting_curve: Annotated[
        tuple[Annotated[float, Meta(gt=0, le=1)], ...],
        Meta(
            max_length=200,
            description="The curve that stands until one is fitted; empty = every position counts in full",
        ),
    ] = ()
    curve_evidence: Annotated[
        int,
        Meta(
            ge=20,
            le=1000000,
            description="Successes at position 1 before a curve is fitted; positions with fewer are read "
            "together with those around them",
        ),
    ] = 200
    curve_every_hours: Annotated[
        float, Meta(ge=0.01, le=720, description="Hours between two fits of the curve")
    ] = 24.0
    stops_at: Annotated[
        tuple[str, ...],
        Meta(
            max_length=64,
            description="Kinds of events at which people leave; empty = those with a weight. Used by cascade",
        ),
    ] = ()
    half_life_hours: Annotated[
        float, Meta(ge=0, le=87600, description="Hours after which evidence counts half; 0 = never forgets")
    ] = 720.0


class Exploration(Struct, frozen=True, forbid_unknown_fields=True):
    """How much is tried out."""

    share: Annotated[
        float,
        Meta(
            ge=0, le=0.5, description="Share of requests that shows a uniform shuffle; evaluation rests on it"
        ),
    ] = 0.02
    pool_size: Annotated[
        int, Meta(ge=2, le=1000, description="The shuffle is over this many best items by posterior mean")
    ] = 50
    sharpness: Annotated[
        float,
        Meta(
            ge=0.25,
            le=2,
            description="Spread of the draws: the variance of each posterior is scaled by about this",
        ),
    ] = 1.0


class Feed(Struct, frozen=True, forbid_unknown_fields=True):
    """One way to order items."""

    order: Annotated[str, Meta(description=orders_told())]
    kind: Annotated[str, Meta(description="The kind that `most` orders by; empty otherwise")] = ""
    floor: Annotated[float, Meta(ge=0, le=1, description="Least share of sessions the feed is given")] = 0.01
    needs: Annotated[
        tuple[Need, ...],
        Meta(
            max_length=2,
            description="What must be known of a request before it can be given the feed: who is asking "
            "(person), that it comes from within a market (market)",
        ),
    ] = ()
    min_candidates: Annotated[
        int,
        Meta(
            ge=0,
            le=1000000,
            description="Fewest items that the request's market must hold, as counted for the epoch, or that "
            "lie in no market for requests from none; 0 = any number",
        ),
    ] = 0


class Draws(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a draw lasts."""

    interval_minutes: Annotated[
        float,
        Meta(
            ge=0,
            le=1440,
            description="Minutes for which a session is given the same draw; 0 = a new draw every request",
        ),
    ] = 0.0


class Attribution(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events are learned from."""

    window_hours: Annotated[
        float,
        Meta(
            gt=0,
            le=168,
            description="Hours after the answer in which an event is learned from; later ones are only "
            "stored",
        ),
    ] = 168.0


class Freshness(Struct, frozen=True, forbid_unknown_fields=True):
    """When an answer calls itself degraded."""

    stats_stale_s: Annotated[
        float,
        Meta(gt=0, le=86400, description="Age of the statistics in seconds beyond which STATS_STALE is said"),
    ] = 10.0


class Seen(Struct, frozen=True, forbid_unknown_fields=True):
    """What is remembered of each person, for answers that leave out what was seen."""

    most: Annotated[
        int, Meta(ge=0, le=10000, description="Items remembered for a person, those shown last; 0 = none")
    ] = 100
    keep_hours: Annotated[
        float, Meta(gt=0, le=8760, description="Hours after it was shown that an item is remembered")
    ] = 24.0


class Decisions(Struct, frozen=True, forbid_unknown_fields=True):
    """Which decisions are written down, to be made again and to judge another policy by."""

    log_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="Share of requests that are logged; those that explore or explain always are",
        ),
    ] = 0.01


class Scenario(Surface, frozen=True, forbid_unknown_fields=True):
    """Settings of one surface; what is unset follows the policy."""

    feeds: Annotated[
        tuple[str, ...], Meta(max_length=32, description="Feeds this surface may use; empty = all")
    ] = ()
    radius_m: Annotated[
        float | None, Meta(description="Default radius in metres of this surface; unset = radius.default_m")
    ] = None
    limit: Annotated[
        int | None, Meta(description="Default number of items of this surface; unset = slate.default_limit")
    ] = None
    exclude_seen: Annotated[
        bool,
        Meta(description='Whether what the person has seen is left out: true is seen = "leave_out"'),
    ] = False
    pins: Pins = ()

    @property
    def seen_way(self) -> Literal["show", "leave_out", "fade"]:
        """What becomes of what was seen, however it was said."""
        return "leave_out" if self.exclude_seen else self.seen


# The feed of the exploration share, which is always there and no policy names.
EXPLORE_FEED = "explore"


def _default_kinds() -> dict[Slug, Kind]:
    return {
        "view": Kind(weight=1.0, prior_mean=0.1, prior_strength=20.0),
        "save": Kind(weight=2.0, prior_mean=0.02, prior_strength=50.0, maturity_hours=1.0),
        "apply": Kind(weight=5.0, prior_mean=0.01, prior_strength=100.0, maturity_hours=6.0),
    }


def _default_feeds() -> dict[Slug, Feed]:
    return {
        "nearest": Feed(order="nearest"),
        "newest": Feed(order="newest"),
        "most_applied": Feed(order="most", kind="apply"),
        # What draws is what learns of items: a market that begins must not wait for the bandit of feeds.
        "draw": Feed(order="draw", floor=0.3),
    }


class Policy(Struct, frozen=True, forbid_unknown_fields=True):
    """All knobs of one tenant."""

    radius: Radius = field(default_factory=Radius)
    slate: Slate = field(default_factory=Slate)
    kinds: Annotated[
        dict[Slug, Kind],
        Meta(
            max_length=64,
            description="Kinds of events by slug; impression is always there and has no settings",
        ),
    ] = field(default_factory=_default_kinds)
    priors: Priors = field(default_factory=Priors)
    newcomers: Newcomers = field(default_factory=Newcomers)
    caps: Caps = field(default_factory=Caps)
    exposure: Exposure = field(default_factory=Exposure)
    exploration: Exploration = field(default_factory=Exploration)
    feeds: Annotated[dict[Slug, Feed], Meta(min_length=1, max_length=32, description="Feeds by name")] = (
        field(default_factory=_default_feeds)
    )
    master: Master = field(default_factory=Master)
    markets: Markets = field(default_factory=dict)
    segments: Segments = field(default_factory=Segments)
    draws: Draws = field(default_factory=Draws)
    diversity: Diversity = field(default_factory=Diversity)
    attribution: Attribution = field(default_factory=Attribution)
    freshness: Freshness = field(default_factory=Freshness)
    seen: Seen = field(default_factory=Seen)
    decisions: Decisions = field(default_factory=Decisions)
    scenarios: Annotated[
        dict[Slug, Scenario], Meta(max_length=64, description="Surfaces by name; `default` is always there")
    ] = field(default_factory=lambda: {"default": Scenario()})

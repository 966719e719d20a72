"""What an operator tunes of the bandit that picks feeds, and of single markets."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

MarketName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~-]{1,64}$")]

# The feed of the sessions that the bandit leaves alone: it is there when a share is held out.
HOLDOUT_FEED = "holdout"


class Master(Struct, frozen=True, forbid_unknown_fields=True):
    """The bandit that picks a feed for each session."""

    epoch_minutes: Annotated[
        float, Meta(gt=0, le=1440, description="Minutes that one set of feed probabilities is in force")
    ] = 15.0
    prior_mean: Annotated[
        float, Meta(gt=0, lt=1, description="Share of sessions a feed is believed to reward at first")
    ] = 0.2
    prior_strength: Annotated[
        float, Meta(ge=0.1, le=100000, description="How many sessions that belief is worth")
    ] = 10.0
    half_life_days: Annotated[
        float, Meta(ge=0, le=3650, description="Days after which a session counts half; 0 = never forgets")
    ] = 7.0
    goal: Annotated[
        Literal["reward", "identify"],
        Meta(
            description="What sessions beyond the floors are for: the most reward meanwhile, or to know "
            "soon which feed is the best"
        ),
    ] = "reward"
    min_sessions: Annotated[
        float,
        Meta(
            ge=0,
            le=1000000,
            description="Sessions before a feed is judged; until then it has an even part of what floors "
            "leave",
        ),
    ] = 0.0
    by_market: Annotated[
        bool,
        Meta(description="Whether every market has shares of its own, which begin where all markets stand"),
    ] = True
    parent_strength: Annotated[
        float,
        Meta(
            ge=0.1,
            le=100000,
            description="How many sessions of its own the other markets' experience is worth to a market, "
            "at most",
        ),
    ] = 100.0
    default_feed: Annotated[
        str,
        Meta(
            description="Feed of the holdout and of what is frozen, where it may be used; empty = the one "
            "with the largest floor"
        ),
    ] = ""
    holdout_share: Annotated[
        float,
        Meta(
            ge=0,
            le=0.5,
            description="Share of people the bandits leave alone: default feed, items by posterior mean, "
            "counted apart",
        ),
    ] = 0.0
    holdout_salt: Annotated[
        str,
        Meta(
            min_length=1,
            pattern=r"^[a-z0-9_-]{1,32}$",
            description="Decides who is held out; another word holds out others",
        ),
    ] = "first"
    frozen: Annotated[
        bool,
        Meta(
            description="Kill switch of everything: default feed, items by posterior mean, nothing drawn; "
            "statistics go on"
        ),
    ] = False


class MarketKind(Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of event in one market; what is unset follows the kind."""

    prior_mean: Annotated[
        Annotated[float, Meta(gt=0, lt=1)] | None,
        Meta(description="As kinds.<name>.prior_mean, of the market's items; a fit to them takes its place"),
    ] = None
    prior_strength: Annotated[
        Annotated[float, Meta(ge=0.1, le=100000)] | None,
        Meta(description="As kinds.<name>.prior_strength, likewise"),
    ] = None


class Market(Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of one market, by its id; what is unset follows the policy."""

    feeds: Annotated[
        tuple[str, ...], Meta(max_length=32, description="Feeds this market may use; empty = all")
    ] = ()
    frozen: Annotated[
        bool, Meta(description="Kill switch of this market: as master.frozen, for requests from within it")
    ] = False
    half_life_hours: Annotated[
        Annotated[float, Meta(ge=0, le=87600)] | None,
        Meta(
            description="Hours after which what was counted in this market counts half; 0 = never forgets, "
            "unset = exposure.half_life_hours"
        ),
    ] = None
    kinds: Annotated[
        dict[str, MarketKind],
        Meta(max_length=64, description="What is believed of this market's items, by kind"),
    ] = field(default_factory=dict)


Markets = Annotated[dict[MarketName, Market], Meta(max_length=2000, description="Markets by id")]

"""What holds in every town: fixed before any policy was tried on it, and never tuned to one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorldConstants:
    """The laws of a town; the seed decides everything else."""

    item_count: int = 240
    person_count: int = 400
    district_count: int = 9
    town_radius_m: float = 7500.0
    """Districts have their middles at most this far from the centre of the town."""

    mean_view_rate: float = 0.10
    """Probability that a person opens an item that came on screen, over all items."""
    view_rate_cv: float = 0.8
    """Coefficient of variation of that probability between items."""
    mean_save_share: float = 0.20
    """Probability of a save after a view, over all items."""
    mean_apply_share: float = 0.10
    """Probability of an apply after a view, over all items."""
    share_cv: float = 0.3
    """Coefficient of variation of these two between items: mild, so every kind tells of the view rate."""

    mean_view_delay_s: float = 5.0
    mean_save_delay_s: float = 3600.0
    mean_apply_delay_s: float = 6 * 3600.0
    """Delays from the answer to the event are exponential."""

    turnover_per_step: float = 1e-3
    """Probability that at a step one random item dies and another is born elsewhere in the town."""
    visit_goes_on: float = 0.3
    """Probability that the next to ask is the same person, in the same visit."""

    slate_size: int = 20
    radius_m: float = 5000.0
    """How far people look."""
    reach_share: float = 0.1
    """Share of items with a reach of their own, which then replaces how far people look."""
    stroll_m: float = 250.0
    """Standard deviation, each way, of where a person asks around home."""


STANDARD = WorldConstants()

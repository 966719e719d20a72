"""How an experiment stands: what sessions were worth on either side, or what a shadow would have shown."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from nearcast_bandit.evaluation.arms import Comparison, compare
from nearcast_config.mastery import HOLDOUT_FEED
from nearcast_config.problems import SettingProblem
from nearcast_server.experimenting import Experimenter, problems_of
from nearcast_server.governing import Governor
from nearcast_store.experiments.postgres import PostgresExperimentStore
from nearcast_store.experiments.protocol import Arms, Experiment, ShadowSums, Sides, Span
from nearcast_store.policies.protocol import Revision

SIDES = ("the policy in force", "the contender")
# Requests are counted by the time of their ids, which gateways give by clocks of their own.
_AHEAD_S = 60.0


@dataclass(frozen=True, slots=True)
class Served:
    """A revision that served people meanwhile; `counted`: it could have run beside the contender."""

    revision: int
    sessions: int
    counted: bool


@dataclass(frozen=True, slots=True)
class SplitReport:
    """Both arms, and the difference or what is missing for it; `kinds` names the numbers of kinds."""

    arms: Arms
    comparison: Comparison
    served: Sequence[Served]
    kinds: dict[str, int]
    missing: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShadowReport:
    """Over all requests that were compared; shares are 0 where there were none. Feeds come in pairs."""

    compared: int
    overlap: float
    same_first: float
    equal: float
    new_share: float
    shadow_new_share: float
    feeds: Sequence[tuple[str, str, int]]


@dataclass(frozen=True, slots=True)
class Standing:
    """An experiment, why it does nothing although it was not stopped, and what came of it."""

    experiment: Experiment
    paused_by: Sequence[SettingProblem]
    split: SplitReport | None = None
    shadow: ShadowReport | None = None


class Comparer:
    """Reads the ledger itself. Raises RequestError, StoreError."""

    def __init__(
        self,
        governor: Governor,
        experimenter: Experimenter,
        experiments: PostgresExperimentStore,
        clock: Callable[[], float],
    ) -> None:
        self._governor = governor
        self._experimenter = experimenter
        self._experiments = experiments
        self._clock = clock

    async def standing(self, tenant_id: int, name: str) -> Standing:
        """How it stands now."""
        experiment = await self._experimenter.find(tenant_id, name)
        contender = await self._governor.revision(tenant_id, experiment.wanted.revision)
        paused_by: Sequence[SettingProblem] = ()
        if experiment.stopped_at is None:
            in_force = await self._governor.revision(tenant_id, 0)
            paused_by = problems_of(experiment.wanted.mode, in_force.policy, contender.policy)
        if experiment.wanted.mode == "shadow":
            return Standing(experiment, paused_by, shadow=await self._shadow(experiment, contender))
        return Standing(experiment, paused_by, split=await self._split(experiment, contender))

    async def _split(self, experiment: Experiment, contender: Revision) -> SplitReport:
        wanted = experiment.wanted
        end = self._clock() + _AHEAD_S if experiment.stopped_at is None else experiment.stopped_at
        span = Span(wanted.tenant_id, wanted.started_at, end)
        against = await self._governor.revision(wanted.tenant_id, wanted.against)
        served = await self._served(span, contender)
        counted = [each.revision for each in served if each.counted]
        apart = [against.feeds[HOLDOUT_FEED]] if HOLDOUT_FEED in against.feeds else []
        weights = {against.kinds[name]: kind.weight for name, kind in against.policy.kinds.items()}
        arms = await self._experiments.arms(span, Sides(contender.number, counted, apart), weights)
        comparison = compare(arms.against.sums, arms.contender.sums, SIDES)
        lost = _lost(span, await self._experiments.first_day())
        kinds = {name: number for name, number in against.kinds.items() if name in against.policy.kinds}
        return SplitReport(arms, comparison, served, kinds, (*comparison.missing, *lost))

    async def _served(self, span: Span, contender: Revision) -> list[Served]:
        found = []
        for number, sessions in (await self._experiments.served_revisions(span)).items():
            if number != contender.number:
                policy = (await self._governor.revision(span.tenant_id, number)).policy
                fits = not problems_of("split", policy, contender.policy)
                found.append(Served(number, sessions, fits))
        return found

    async def _shadow(self, experiment: Experiment, contender: Revision) -> ShadowReport:
        wanted = experiment.wanted
        sums = await self._experiments.shadow_sums(wanted.tenant_id, experiment.number)
        against = await self._governor.revision(wanted.tenant_id, wanted.against)
        names = {number: name for name, number in (*against.feeds.items(), *contender.feeds.items())}
        pairs = [
            (
                names.get(each.feed, str(each.feed)),
                names.get(each.shadow_feed, str(each.shadow_feed)),
                each.compared,
            )
            for each in sorted(sums, key=lambda each: -each.compared)
        ]
        return _shadow_report(sums, pairs)


def _lost(span: Span, held_from: date | None) -> Iterator[str]:
    began = datetime.fromtimestamp(span.first, UTC).date()
    if held_from is not None and began < held_from:
        yield f"events from {began} to {held_from} are no longer in the ledger, and not in these figures"


def _shadow_report(sums: Sequence[ShadowSums], pairs: Sequence[tuple[str, str, int]]) -> ShadowReport:
    def total(name: str) -> int:
        return sum(getattr(each, name) for each in sums)

    compared = total("compared")
    return ShadowReport(
        compared,
        _share(total("common"), max(total("shown"), total("shadow_shown"))),
        _share(total("same_first"), compared),
        _share(total("equal"), compared),
        _share(total("new_shown"), total("shown")),
        _share(total("shadow_new_shown"), total("shadow_shown")),
        pairs,
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

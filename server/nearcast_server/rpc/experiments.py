"""Experiments on the wire: the part of AdminService that tries policies."""

from nearcast.v1 import admin_pb2
from nearcast_bandit.evaluation.report import Estimate
from nearcast_server.comparing import Comparer, ShadowReport, SplitReport, Standing
from nearcast_server.errors import InvalidRequestError
from nearcast_server.experimenting import Experimenter, Plan
from nearcast_server.governing import Wish
from nearcast_server.rpc.admin import to_notes
from nearcast_server.rpc.items import to_stamp
from nearcast_store.experiments.protocol import ArmCounts, Experiment, Mode
from nearcast_store.tenants.protocol import Caller

_MODES: dict[int, Mode] = {
    admin_pb2.EXPERIMENT_MODE_UNSPECIFIED: "split",
    admin_pb2.EXPERIMENT_MODE_SPLIT: "split",
    admin_pb2.EXPERIMENT_MODE_SHADOW: "shadow",
}
_ON_WIRE = {"split": admin_pb2.EXPERIMENT_MODE_SPLIT, "shadow": admin_pb2.EXPERIMENT_MODE_SHADOW}


class ExperimentRequests:
    """What is tried beside the policy in force."""

    def __init__(self, experimenter: Experimenter, comparer: Comparer) -> None:
        self._experimenter = experimenter
        self._comparer = comparer

    async def StartExperiment(
        self, caller: Caller, request: admin_pb2.StartExperimentRequest
    ) -> admin_pb2.StartExperimentResponse:
        """Begin to try a policy."""
        mode = _MODES.get(request.mode)
        if mode is None:
            message = f"must be split or shadow, got number {request.mode}, which is not known here"
            raise InvalidRequestError.of("mode", "UNKNOWN_ENUM_VALUE", message)
        plan = Plan(
            request.name,
            mode,
            request.share,
            request.policy_toml,
            request.revision,
        )
        wish = Wish(f"key {caller.key_id}", request.note)
        begun = await self._experimenter.start(caller.tenant_id, plan, wish)
        return admin_pb2.StartExperimentResponse(
            experiment=to_experiment(begun.experiment), warnings=to_notes(begun.warnings)
        )

    async def StopExperiment(
        self, caller: Caller, request: admin_pb2.StopExperimentRequest
    ) -> admin_pb2.StopExperimentResponse:
        """End it."""
        stopped = await self._experimenter.stop(caller.tenant_id, request.name)
        return admin_pb2.StopExperimentResponse(experiment=to_experiment(stopped))

    async def GetExperiment(
        self, caller: Caller, request: admin_pb2.GetExperimentRequest
    ) -> admin_pb2.GetExperimentResponse:
        """How it stands."""
        return to_standing(await self._comparer.standing(caller.tenant_id, request.name))

    async def ListExperiments(
        self, caller: Caller, request: admin_pb2.ListExperimentsRequest
    ) -> admin_pb2.ListExperimentsResponse:
        """The newest first."""
        listed = await self._experimenter.listed(caller.tenant_id, request.limit)
        return admin_pb2.ListExperimentsResponse(experiments=map(to_experiment, listed))


def to_experiment(experiment: Experiment) -> admin_pb2.Experiment:
    """The wire's experiment."""
    wanted = experiment.wanted
    return admin_pb2.Experiment(
        name=wanted.name,
        mode=_ON_WIRE[wanted.mode],
        revision=wanted.revision,
        against=wanted.against,
        share=wanted.share,
        author=wanted.author,
        note=wanted.note,
        started_at=to_stamp(wanted.started_at),
        stopped_at=None if experiment.stopped_at is None else to_stamp(experiment.stopped_at),
    )


def to_standing(standing: Standing) -> admin_pb2.GetExperimentResponse:
    """The wire's report."""
    return admin_pb2.GetExperimentResponse(
        experiment=to_experiment(standing.experiment),
        paused_by=to_notes(standing.paused_by),
        split=None if standing.split is None else _to_split(standing.split),
        shadow=None if standing.shadow is None else _to_shadow(standing.shadow),
    )


def _to_split(report: SplitReport) -> admin_pb2.SplitReport:
    comparison = report.comparison
    return admin_pb2.SplitReport(
        in_force=_to_arm(report.arms.against, report, comparison.first),
        contender=_to_arm(report.arms.contender, report, comparison.second),
        difference=_to_measured(comparison.difference),
        gain=_to_measured(comparison.gain),
        mixed_sessions=report.arms.mixed,
        served=[
            admin_pb2.ServedRevision(revision=each.revision, sessions=each.sessions, counted=each.counted)
            for each in report.served
        ],
        missing=report.missing,
    )


def _to_arm(counts: ArmCounts, report: SplitReport, reward: Estimate | None) -> admin_pb2.ExperimentArm:
    return admin_pb2.ExperimentArm(
        sessions=counts.sums.sessions,
        rewarded_sessions=counts.sums.rewarded,
        impressions=counts.impressions,
        successes=[
            admin_pb2.KindTotal(kind=name, count=counts.successes.get(number, 0))
            for name, number in report.kinds.items()
        ],
        reward_per_session=_to_measured(reward),
    )


def _to_measured(estimate: Estimate | None) -> admin_pb2.Measured | None:
    if estimate is None:
        return None
    return admin_pb2.Measured(value=estimate.value, low=estimate.low, high=estimate.high)


def _to_shadow(report: ShadowReport) -> admin_pb2.ShadowReport:
    return admin_pb2.ShadowReport(
        compared=report.compared,
        overlap=report.overlap,
        same_first=report.same_first,
        equal=report.equal,
        new_share=report.new_share,
        shadow_new_share=report.shadow_new_share,
        feeds=[
            admin_pb2.ShadowFeeds(feed=feed, shadow_feed=shadow_feed, compared=count)
            for feed, shadow_feed, count in report.feeds
        ],
    )

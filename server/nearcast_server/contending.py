"""Policies tried beside the one in force: what the tenant looks like under them, and who gets them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from nearcast_bandit.stream import keyed_unit
from nearcast_config.contention import believes_alike, shadow_problems, split_problems
from nearcast_config.problems import SettingProblem
from nearcast_server.asking import RecommendQuery
from nearcast_server.evidence import Evidence
from nearcast_server.orders import orders_of
from nearcast_server.paging import open_slate_page
from nearcast_server.priors import priors_of
from nearcast_server.surfaces import surfaces_of
from nearcast_server.tenancy import Contender, View
from nearcast_server.visiting import session_of
from nearcast_store.errors import SchemaError
from nearcast_store.experiments.protocol import Experiment, Mode, RunningExperiments
from nearcast_store.policies.protocol import PolicyStore, Revision
from nearcast_telemetry.logs import logger

_PROBLEMS = {"split": split_problems, "shadow": shadow_problems}
# How much of a visit's name the ledger holds.
_IN_LEDGER = 8
log = logger("gateway")


@dataclass(frozen=True, slots=True)
class _Judged:
    problems: Sequence[SettingProblem]
    believes_alike: bool


class Contenders:
    """Follows the experiments of one tenant; what cannot run beside the policy in force is left out."""

    def __init__(self, tenant_id: int, policies: PolicyStore, running: RunningExperiments | None) -> None:
        self._tenant_id = tenant_id
        self._policies = policies
        self._running = running
        self._found: list[tuple[Experiment, Revision]] = []
        self._revisions: dict[int, Revision] = {}
        # By experiment and revision in force, as neither changes.
        self._judged: dict[tuple[int, int], _Judged] = {}

    async def follow(self, in_force: Revision) -> None:
        """Look which run now."""
        if self._running is None:
            return
        found = []
        for experiment in await self._running.running(self._tenant_id):
            revision = await self._revision(experiment.wanted.revision, in_force)
            if revision is not None and not self._judge(experiment, in_force, revision).problems:
                found.append((experiment, revision))
        self._found = found
        self._revisions = {revision.number: revision for _, revision in found}

    def around(self, view: View) -> View:
        """The view with those that contend with it."""
        if not self._found:
            return view
        by_mode: dict[Mode, Contender] = {
            experiment.wanted.mode: self._contender(experiment, view, revision)
            for experiment, revision in self._found
        }
        return replace(view, contender=by_mode.get("split"), shadow=by_mode.get("shadow"))

    async def _revision(self, number: int, in_force: Revision) -> Revision | None:
        """The same object as long as it contends: what is made of it is remembered by it."""
        known = self._revisions.get(number)
        if known is None:
            try:
                known = await self._policies.revision(self._tenant_id, number)
            except SchemaError:  # of a newer version, which has gateways of its own
                return None
        if known is None or list(known.policy.kinds) == list(in_force.policy.kinds):
            return known
        return _in_order(known, in_force)

    def _judge(self, experiment: Experiment, in_force: Revision, revision: Revision) -> "_Judged":
        case = (experiment.number, in_force.number)
        judged = self._judged.get(case)
        if judged is None:
            problems = _PROBLEMS[experiment.wanted.mode](in_force.policy, revision.policy)
            judged = _Judged(problems, believes_alike(in_force.policy, revision.policy))
            self._judged[case] = judged
            if problems:
                name, reason = experiment.wanted.name, str(problems[0])
                log.warning("experiment.paused", tenant_id=self._tenant_id, experiment=name, reason=reason)
        return judged

    def _contender(self, experiment: Experiment, view: View, revision: Revision) -> Contender:
        policy, in_force = revision.policy, view.revision.policy
        alike = self._judge(experiment, view.revision, revision).believes_alike
        # Shares were worked out for the feeds in force: with others their bandit begins with its prior.
        same_feeds = policy.feeds == in_force.feeds
        own = replace(
            view,
            revision=revision,
            orders=orders_of(policy),
            surfaces=surfaces_of(policy.scenarios),
            epochs=view.epochs if same_feeds else {},
            latest_epoch=view.latest_epoch if same_feeds else None,
            evidence=_evidence(view, revision, alike=alike),
            contends=True,
        )
        return Contender(experiment.number, experiment.wanted.name, experiment.wanted.share, own, alike)


def take_side(
    view: View,
    contender: Contender,
    query: RecommendQuery,
    now_ms: int,
    random_bytes: Callable[[int], bytes],
) -> tuple[View, RecommendQuery]:
    """The view that a request is decided under, and the request with the visit it was placed by.

    A page goes on under the policy that began its slate.
    """
    if query.page_token:
        page = open_slate_page(view, query.page_token, query.canonical, now_ms)
        began_there = page.policy_revision == contender.view.revision.number
        return (contender.view if began_there else view), query
    session, token = session_of(view, query.session_id, query.session_token, now_ms, random_bytes)
    query = msgspec.structs.replace(query, session_token=token)
    return (contender.view if is_tried_on(contender, session) else view), query


def is_tried_on(contender: Contender, session: bytes) -> bool:
    """Whether a session belongs to the contender; by what the ledger knows of it too."""
    salt = f"{contender.view.tenant_id}.{contender.name}".encode()
    return keyed_unit(salt, b"nearcast contend", 0, session[:_IN_LEDGER]) < contender.share


def _evidence(view: View, revision: Revision, *, alike: bool) -> Evidence:
    """The same counts under other weights, and where it believes otherwise under its own priors."""
    weights = tuple(kind.weight for kind in revision.policy.kinds.values())
    priors = view.evidence.priors if alike else priors_of(revision, None, view.atlas.numbers)
    # No replica is told what only a shadow believes.
    rules = view.evidence.rules if alike else 0
    return replace(view.evidence, weights=weights, priors=priors, rules=rules)


def _in_order(revision: Revision, in_force: Revision) -> Revision:
    """With its kinds in the order of the policy in force, which evidence has."""
    kinds = revision.policy.kinds
    if kinds.keys() != in_force.policy.kinds.keys():
        return revision
    ordered = {name: kinds[name] for name in in_force.policy.kinds}
    return replace(revision, policy=msgspec.structs.replace(revision.policy, kinds=ordered))

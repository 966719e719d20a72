"""The rules of trying a policy beside the one in force, on the wire and on the command line alike."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nearcast_catalogue.checking import Violation
from nearcast_catalogue.echo import printable
from nearcast_config.consistency import policy_warnings
from nearcast_config.contention import shadow_problems, split_problems
from nearcast_config.policy import Policy
from nearcast_config.problems import SettingProblem
from nearcast_server.errors import ChangedError, InvalidRequestError, NotFoundError
from nearcast_server.governing import Governor, Wish, check_wish, read_policy
from nearcast_store.errors import ExperimentRunningError, ExperimentTakenError
from nearcast_store.experiments.postgres import PostgresExperimentStore
from nearcast_store.experiments.protocol import Experiment, Mode, Wanted
from nearcast_store.policies.protocol import Proposals, Revision

MOST_LISTED = 100
MOST_NAME_CHARS = 40
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to try: a text, or where that is empty a revision there is."""

    name: str
    mode: Mode
    share: float
    text: str = ""
    revision: int = 0


@dataclass(frozen=True, slots=True)
class Begun:
    """What runs now, and what is probably not meant by its policy."""

    experiment: Experiment
    warnings: Sequence[SettingProblem]


class Experimenter:
    """Begins and ends experiments. Raises RequestError, StoreError."""

    def __init__(
        self,
        governor: Governor,
        proposals: Proposals,
        experiments: PostgresExperimentStore,
        clock: Callable[[], float],
    ) -> None:
        self._governor = governor
        self._proposals = proposals
        self._experiments = experiments
        self._clock = clock

    async def start(self, tenant_id: int, plan: Plan, wish: Wish) -> Begun:
        """Try it from now on."""
        _check(plan)
        check_wish(wish)
        in_force = await self._governor.revision(tenant_id, 0)
        contender = None if plan.text.strip() else await self._governor.revision(tenant_id, plan.revision)
        policy = await read_policy(plan.text) if contender is None else contender.policy
        problems = problems_of(plan.mode, in_force.policy, policy)
        if problems:
            raise InvalidRequestError(
                [Violation(each.key, "EXPERIMENT_UNFIT", each.message) for each in problems]
            )
        await self._refuse_taken(tenant_id, plan)
        if contender is None:
            note = f"contender of {plan.mode} {plan.name}"
            contender = await self._proposals.propose(tenant_id, policy, wish.author, note)
        return Begun(await self._begin(plan, in_force, contender, wish), tuple(policy_warnings(policy)))

    async def stop(self, tenant_id: int, name: str) -> Experiment:
        """End it."""
        found = await self.find(tenant_id, name)
        if not await self._experiments.stop(tenant_id, name, self._clock()):
            raise ChangedError(
                "EXPERIMENT_STOPPED", f"experiment {name} is not running", metadata={"field": "name"}
            )
        return await self._experiments.find(tenant_id, name) or found

    async def find(self, tenant_id: int, name: str) -> Experiment:
        """By its name. Raises NotFoundError."""
        found = await self._experiments.find(tenant_id, name) if _NAME.fullmatch(name) else None
        if found is None:
            known = [each.wanted.name for each in await self._experiments.listed(tenant_id, 10)]
            raise NotFoundError(
                "EXPERIMENT_NOT_FOUND",
                f"there is no experiment {printable(name)}; the last are: {', '.join(known) or 'none'}",
                metadata={"field": "name"},
            )
        return found

    async def listed(self, tenant_id: int, limit: int = 0) -> list[Experiment]:
        """The newest first, 0 for as many as are listed at most."""
        if limit < 0:
            raise InvalidRequestError.of("limit", "LIMIT_OUT_OF_RANGE", f"must not be negative, got {limit}")
        return await self._experiments.listed(tenant_id, min(limit or MOST_LISTED, MOST_LISTED))

    async def _begin(self, plan: Plan, in_force: Revision, contender: Revision, wish: Wish) -> Experiment:
        wanted = Wanted(
            in_force.tenant_id,
            plan.name,
            plan.mode,
            contender.number,
            in_force.number,
            plan.share,
            wish.author,
            wish.note,
            round(self._clock(), 6),
        )
        try:
            return await self._experiments.start(wanted)
        except ExperimentTakenError as error:
            raise _exists(plan.name) from error
        except ExperimentRunningError as error:
            raise _is_running(plan.mode, error.name) from error

    async def _refuse_taken(self, tenant_id: int, plan: Plan) -> None:
        """Before a revision is made for nothing."""
        if await self._experiments.find(tenant_id, plan.name):
            raise _exists(plan.name)
        for running in await self._experiments.running(tenant_id):
            if running.wanted.mode == plan.mode:
                raise _is_running(plan.mode, running.wanted.name)


def problems_of(mode: Mode, in_force: Policy, contender: Policy) -> tuple[SettingProblem, ...]:
    """Why the one cannot be tried beside the other."""
    return (split_problems if mode == "split" else shadow_problems)(in_force, contender)


def _check(plan: Plan) -> None:
    if not plan.name:
        raise InvalidRequestError.of("name", "REQUIRED_FIELD", "must name the experiment")
    if len(plan.name) > MOST_NAME_CHARS:
        raise InvalidRequestError.of(
            "name", "ID_LENGTH", f"must have at most {MOST_NAME_CHARS} characters, got {len(plan.name)}"
        )
    if not _NAME.fullmatch(plan.name):
        raise InvalidRequestError.of(
            "name",
            "ID_CHARSET",
            f"must be of [a-z0-9_-] and begin with a letter or digit, got {printable(plan.name)}",
        )
    if not math.isfinite(plan.share) or not 0 < plan.share <= 1:
        raise InvalidRequestError.of(
            "share", "SHARE_OUT_OF_RANGE", f"must be above 0 and at most 1, got {plan.share:g}"
        )
    if bool(plan.text.strip()) == bool(plan.revision):
        raise InvalidRequestError.of(
            "policy_toml",
            "REQUIRED_FIELD",
            "must be a policy as TOML, or revision the number of one: one of them",
        )


def _exists(name: str) -> ChangedError:
    return ChangedError(
        "EXPERIMENT_EXISTS",
        f"there is or was an experiment {name}; take another name, as events are told apart by it",
        metadata={"field": "name"},
    )


def _is_running(mode: Mode, name: str) -> ChangedError:
    return ChangedError(
        "EXPERIMENT_RUNNING",
        f"{mode} {name} is running, and one at a time can; stop it first",
        metadata={"field": "mode", "running": name},
    )

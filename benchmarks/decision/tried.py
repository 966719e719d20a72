"""What a policy that is tried beside the one in force costs a request: `python -m benchmarks.decision.tried`.

And how long a preview of a policy takes for one market.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import msgspec
import numpy as np

from nearcast_bandit.entering import Crowd, entry_of
from nearcast_catalogue.eligibility import Filter
from nearcast_config.policy import Slate
from nearcast_config.policytext import default_policy
from nearcast_geo.point import Point
from nearcast_ledger.person import Person
from nearcast_ledger.requestid import RequestIds
from nearcast_server.asking import Area, RecommendQuery
from nearcast_server.contending import Contenders
from nearcast_server.deciding import Decider
from nearcast_server.evidence import Learner
from nearcast_server.tenancy import Tokens, View
from nearcast_store.experiments.protocol import Experiment, Wanted
from nearcast_store.policies.memory import MemoryPolicyStore

TENANT, CALLS, ROUNDS = 1, 2000, 15
MARKETS = (300, 1000)
PLACES, POOL = 20, 50


class _One:
    """One experiment, which runs."""

    async def running(self, tenant_id: int) -> list[Experiment]:
        return [Experiment(1, Wanted(tenant_id, "tried", "split", 2, 1, 0.1, "", "", 0.0))]


async def views(now: float) -> tuple[View, View, Contenders]:
    """A tenant without an experiment and with one, and what makes the second of the first."""
    policies = MemoryPolicyStore(lambda: now)
    revision = await policies.current(TENANT)
    other = msgspec.structs.replace(default_policy(), slate=Slate(default_limit=3))
    await policies.apply(TENANT, other, "", "")
    learner = Learner()
    learner.follow(revision, now)
    tokens = Tokens.of(await policies.keyring(TENANT))
    view = View(TENANT, revision, {}, tokens, {}, None, learner.evidence(now), now, None, True)
    contenders = Contenders(TENANT, policies, _One())
    await contenders.follow(revision)
    return view, contenders.around(view), contenders


def main() -> None:
    """A line for each way, in microseconds, and one for each size of a market."""
    now = time.time()
    alone, tried, contenders = asyncio.run(views(now))
    decider = Decider(RequestIds(lambda: int(now * 1000), secrets.token_bytes), secrets.token_bytes)
    area = Area(Point(59.91, 10.75), None, 0, Filter())
    named = RecommendQuery(area, Person(), "a-session", "", "", "", False, b"")
    token = decider.decide(alone, named, now).visit.token
    held = msgspec.structs.replace(named, session_id="", session_token=token)
    for what, work in (
        ("decide", partial(decider.decide, alone, held, now)),
        ("place, nothing is tried", partial(decider.side, alone, held, now)),
        ("place by a token", partial(decider.side, tried, held, now)),
        ("place by an id", partial(decider.side, tried, named, now)),
        ("the contender's view", partial(contenders.around, replace(alone, read_at=now))),
    ):
        print(f"{what:<26} {_us(work):>9.2f} µs")
    for items in MARKETS:
        began = time.perf_counter()
        entry_of(_crowd(items), PLACES, POOL, 0.02)
        print(f"preview of {items:>4} items      {time.perf_counter() - began:>9.2f} s")
    print("least of", ROUNDS, "rounds; load", *(f"{each:.1f}" for each in os.getloadavg()))


def _crowd(items: int) -> Crowd:
    """Known items of three kinds, and a tenth that nobody has seen."""
    rng, known = np.random.default_rng(0), items - items // 10
    trials = rng.uniform(50, 20_000, (3, known))
    rates = np.array([0.1, 0.02, 0.01])[:, None] * rng.uniform(0.5, 2, (3, known))
    priors = np.array([[2.0, 18.0], [1.0, 49.0], [1.0, 99.0]])
    a = np.concatenate((trials * rates, priors[:, :1], priors[:, :1]), axis=1)
    b = np.concatenate((trials * (1 - rates), priors[:, 1:], priors[:, 1:]), axis=1)
    return Crowd([1.0, 2.0, 5.0], a, b, np.array([items // 10]))


def _us(work: Callable[[], object]) -> float:
    """Least mean of all rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for _ in range(CALLS):
            work()
        best = min(best, (time.perf_counter() - began) / CALLS)
    return 1e6 * best


if __name__ == "__main__":
    main()

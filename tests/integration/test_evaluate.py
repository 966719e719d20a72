"""`nearcast evaluate` on logs whose truth is known, stored as a gateway and a keeper store them."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from nearcast_bandit.record import DecisionRecord
from nearcast_cli.commands.evaluate import command
from nearcast_cli.failure import CommandFailedError
from nearcast_config.policy import Exploration, Exposure, Feed, Policy, Slate
from nearcast_config.policytext import policy_to_toml
from nearcast_config.problems import SettingsError
from nearcast_store.counting.postgres import PostgresCountStore
from nearcast_store.counting.protocol import Batch, LedgerRow
from nearcast_store.decisions.postgres import PostgresDecisionStore
from nearcast_store.decisions.stream import Logged
from nearcast_store.policies.postgres import PostgresPolicyStore
from nearcast_store.postgres import Pool, open_pool
from nearcast_store.tenants.postgres import PostgresTenantStore
from tests.decisionlogs import PLACES, LoggedTown, happened, logged, logging_policy, one_kind
from tests.services import new_database

pytestmark = pytest.mark.timeout(300)
REQUESTS = 2_000
TENANT = "town"
GREEDY = Exploration(share=0.02, pool_size=10, sharpness=0.25)


@dataclass(frozen=True)
class Log:
    """A database with a town's decisions and what came of them."""

    dsn: str
    pool: Pool
    town: LoggedTown
    records: list[DecisionRecord]
    earned: float


@pytest.fixture(scope="module")
async def log(postgres_server: str, migrated_template: str) -> AsyncIterator[Log]:
    async with new_database(postgres_server, migrated_template) as dsn:
        pool = await open_pool(dsn, 2, 30.0)
        try:
            yield await fill(dsn, pool, LoggedTown(7), REQUESTS)
        finally:
            await pool.close()


async def fill(dsn: str, pool: Pool, town: LoggedTown, requests: int) -> Log:
    """A town's log of the last days."""
    town.tenant_id = await PostgresTenantStore(pool, time.time).ensure_tenant(TENANT, TENANT)
    revision = await PostgresPolicyStore(pool).apply(town.tenant_id, town.policy, "test", "")
    town.revision, town.policy = revision.number, revision.policy
    begun_ms = int((time.time() - 2.5 * 86_400) * 1000)
    rng, acts = np.random.default_rng(5), 0
    records: list[DecisionRecord] = []
    rows: list[LedgerRow] = []
    for record in town.records(requests, 11, begun_ms):
        acted = town.acted(record, rng)
        acts += len(acted)
        records.append(record)
        rows.extend(happened(record, acted))
    store, counts = PostgresDecisionStore(pool), PostgresCountStore(pool)
    await store.add(town.tenant_id, [logged(record) for record in records])
    for start in range(0, len(rows), 3000):
        await counts.fold(Batch(rows[start : start + 3000]))
    return Log(dsn, pool, town, records, acts / max(requests, 1))


def invoke(log_dsn: str, policy: Policy | str, folder: Path, *more: str) -> Result:
    file = folder / "new.toml"
    file.write_text(policy if isinstance(policy, str) else policy_to_toml(policy), "utf-8")
    where = ("--policy", str(file), "--tenant", TENANT, "--postgres-dsn", log_dsn)
    return CliRunner().invoke(command, [*where, *more], standalone_mode=False)


async def judged(log: Log, policy: Policy, folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Exit status and document."""
    done = await asyncio.to_thread(invoke, log.dsn, policy, folder, "--json", "-", *more)
    assert done.exception is None, done.exception
    return done.return_value, json.loads(done.stdout)


def holds(estimate: dict[str, float], truth: float) -> bool:
    return estimate["low"] < truth < estimate["high"]


async def test_the_truth_of_both_policies_lies_within_their_intervals(log: Log, tmp_path: Path) -> None:
    town, wanted = log.town, logging_policy(exploration=GREEDY)
    status, found = await judged(log, wanted, tmp_path)
    before = 0.2 * town.explored_value() + 0.8 * (
        0.8 * town.drawn_value(town.pool.a[0], town.pool.b[0]) + 0.2 * town.nearest_value()
    )
    after = 0.02 * town.explored_value() + 0.98 * (
        0.8 * town.drawn_value(town.pool.a[0] / 0.25, town.pool.b[0] / 0.25) + 0.2 * town.nearest_value()
    )
    items = found["items"]
    for name in ("ips", "snips", "doubly_robust"):
        assert holds(items["inForce"]["estimates"][name], before), name
        assert holds(items["wanted"]["estimates"][name], after), name
    assert items["inForce"]["estimates"]["ips"]["value"] == pytest.approx(log.earned)
    assert holds(items["wanted"]["gain"], after / before - 1)
    assert abs(items["wanted"]["support"]["meanWeightZ"]) < 4.9
    assert (found["verdict"], status) == ("better", 0)
    assert [place["position"] for place in items["wanted"]["positions"]] == list(range(1, PLACES + 1))
    assert found["decisions"]["leftOut"] == {}


async def test_other_priors_are_worked_into_what_was_counted(log: Log, tmp_path: Path) -> None:
    town = log.town
    wanted = logging_policy(kinds=one_kind(mean=0.3, strength=200.0))
    _, found = await judged(log, wanted, tmp_path)
    a = town.pool.a[0] - 0.1 * 20 + 0.3 * 200
    b = town.pool.b[0] - 0.9 * 20 + 0.7 * 200
    mean, size = a / (a + b), town.policy.exploration.pool_size
    shuffled = np.argsort(-mean, kind="stable")[:size]
    explored = float(town.rates[shuffled].mean() * (1 + 0.6 + 0.4))
    truth = 0.2 * explored + 0.8 * (0.8 * town.drawn_value(a, b) + 0.2 * town.nearest_value())
    for name in ("ips", "snips", "doubly_robust"):
        assert holds(found["items"]["wanted"]["estimates"][name], truth), name


async def test_what_only_feeds_change_is_told_by_every_session(log: Log, tmp_path: Path) -> None:
    feeds = {"draw": Feed(order="draw", floor=0.8), "nearest": Feed(order="nearest", floor=0.1)}
    _, found = await judged(log, logging_policy(feeds=feeds), tmp_path)
    # Of what floors leave (0.4), 0.3 is the draw's: three quarters of the 0.1 that is left now.
    weight = {"draw": 0.875 / 0.8, "nearest": 0.125 / 0.2}
    trials = trials_of(log)
    assert found["feeds"]["sessions"] == len(trials)
    ips = np.mean([pleased * weight[feed] for (_, feed), pleased in trials.items()])
    assert found["feeds"]["wanted"]["estimates"]["ips"]["value"] == pytest.approx(float(ips))
    assert set(found["feeds"]["sharesNow"]) == {"draw", "nearest"}


def trials_of(log: Log) -> dict[tuple[float, str], bool]:
    """By session and feed; nothing is known here of who was pleased but what the ledger was told."""
    rng = np.random.default_rng(5)
    trials: dict[tuple[float, str], bool] = {}
    for record in log.records:
        acted = bool(log.town.acted(record, rng))
        if not record.outcome.explore:
            key = record.choice.unit, record.outcome.feed
            trials[key] = trials.get(key, False) or acted
    return trials


async def test_a_feed_of_another_order_brings_what_no_request_could_show(log: Log, tmp_path: Path) -> None:
    newest = {"newest": Feed(order="newest", floor=0.5)}
    wanted = logging_policy(feeds={**logging_policy().feeds, **newest}, exploration=GREEDY)
    wanted = msgspec.structs.replace(
        wanted,
        feeds={
            "draw": Feed(order="draw", floor=0.3),
            "nearest": Feed(order="nearest", floor=0.1),
            **newest,
        },
    )
    status, found = await judged(log, wanted, tmp_path)
    assert (status, found["verdict"]) == (3, "refused")
    assert any("could not have been logged" in each for each in found["refusals"])
    assert found["items"]["wanted"]["support"]["unsupported"] > 0.4
    assert any("publish now" in each for each in found["notes"])


async def test_what_records_do_not_tell_is_refused_by_key(log: Log, tmp_path: Path) -> None:
    status, found = await judged(log, logging_policy(exposure=Exposure(half_life_hours=24.0)), tmp_path)
    assert (status, found["verdict"], found["items"]) == (3, "refused", None)
    (refusal,) = found["refusals"]
    assert "cannot be judged from this log: policy.exposure.half_life_hours: 720.0 -> 24.0: " in refusal


async def test_a_thin_log_says_how_much_longer_it_takes(log: Log, tmp_path: Path) -> None:
    until = datetime.fromtimestamp(log.records[300].circumstances.decided_at, UTC)
    status, found = await judged(
        log, logging_policy(exploration=GREEDY), tmp_path, "--until", until.isoformat()
    )
    assert (status, found["verdict"]) == (3, "refused")
    assert found["decisions"]["logged"] == 300
    support = found["items"]["wanted"]["support"]
    assert support["effectiveSampleSize"] < 1000
    # Three hundred minutes are five hours.
    hours = 299 / 60 * (1000 / support["effectiveSampleSize"] - 1)
    ess = f"{support['effectiveSampleSize']:.0f}"
    told = f"ESS {ess} of 1000 needed: about {hours:.0f} more hours at the current exploration share (20.0%)"
    assert found["refusals"][0].startswith(told)


async def test_fewer_decisions_can_be_looked_at_and_that_is_said(log: Log, tmp_path: Path) -> None:
    _, found = await judged(
        log, logging_policy(exploration=GREEDY), tmp_path, "--most", "500", "--positions", "2"
    )
    assert found["items"]["wanted"]["support"]["requests"] == 500
    assert len(found["items"]["wanted"]["positions"]) == 2
    assert any(each.endswith("were not looked at (--most 500)") for each in found["missing"])
    assert any("raise --most" in each for each in found["refusals"])


async def test_a_sample_is_taken_of_what_can_be_judged(database: str, tmp_path: Path) -> None:
    pool = await open_pool(database, 2, 30.0)
    try:
        await fill(database, pool, LoggedTown(7, logging_policy(exposure=Exposure(half_life_hours=5.0))), 60)
        log = await fill(database, pool, LoggedTown(7), 60)
        _, found = await judged(log, logging_policy(exploration=GREEDY), tmp_path, "--most", "50")
    finally:
        await pool.close()
    decisions = found["decisions"]
    assert found["items"]["wanted"]["support"]["requests"] == 50
    assert decisions["leftOut"]["OBSTACLE"] > 20
    assert decisions["notLookedAt"] == 120 - 50 - decisions["leftOut"]["OBSTACLE"]


async def test_the_policy_in_force_has_nothing_to_be_compared_with(log: Log, tmp_path: Path) -> None:
    status, found = await judged(log, logging_policy(), tmp_path)
    assert (status, found["refusals"]) == (3, ["the policy is the one in force: there is nothing to compare"])


async def test_an_empty_database_says_so(database: str, tmp_path: Path) -> None:
    pool = await open_pool(database, 2, 30.0)
    try:
        empty = await fill(database, pool, LoggedTown(7), 0)
        page = tmp_path / "report.html"
        status, found = await judged(
            empty, logging_policy(exploration=GREEDY), tmp_path, "--since", "2d", "--html", str(page)
        )
    finally:
        await pool.close()
    assert status == 3
    first, last = found["since"][:10], found["until"][:10]
    assert datetime.fromisoformat(found["until"]).date() <= datetime.now(UTC).date()
    assert found["refusals"] == [f"no decision is logged from {first} to {last}"]
    assert found["missing"] == [f"no decisions on {first} to {last}"]
    assert "No verdict" in page.read_text("utf-8")


async def test_why_a_decision_is_not_judged_is_said_of_each(database: str, tmp_path: Path) -> None:
    pool = await open_pool(database, 2, 30.0)
    try:
        log = await fill(database, pool, LoggedTown(7), 1)
        odd = [odd_decision(log.town, way) for way in ODD]
        await PostgresDecisionStore(pool).add(log.town.tenant_id, odd)
        status, found = await judged(log, logging_policy(exploration=GREEDY), tmp_path)
    finally:
        await pool.close()
    assert (status, found["decisions"]["logged"]) == (3, 1 + len(ODD))
    assert found["decisions"]["leftOut"] == dict.fromkeys(ODD, 1)
    assert found["refusals"][0].startswith("ESS 1 of 1000 needed: log for longer")
    assert "1 decisions had too many candidates for a record" in found["missing"]


ODD = ("CUT", "CHANGED", "NOT_BY_CHANCE", "LATER_PAGE", "NO_REVISION", "UNREADABLE", "EMPTY", "SCENARIO_GONE")


def odd_decision(town: LoggedTown, way: str) -> Logged:
    """One of the last hours that cannot be judged."""
    at_ms = int((time.time() - 3_600) * 1000) + ODD.index(way)
    record = town.record(random.Random(way), 0.1, at_ms)
    facts: dict[str, dict[str, object]] = {
        "CUT": {"gap": "cut"},
        "CHANGED": {"gap": "changed"},
        "NOT_BY_CHANCE": {"reason": "explain"},
        "NO_REVISION": {"policy_revision": 9_999},
        "SCENARIO_GONE": {"scenario": "map"},
    }
    said = msgspec.structs.replace(record.circumstances, **facts.get(way, {}))
    record = replace(record, circumstances=said)
    if way in ("CUT", "CHANGED"):
        record = replace(record, pool=None)
    if way == "LATER_PAGE":
        record = replace(record, choice=msgspec.structs.replace(record.choice, resumed=True))
    if way == "EMPTY":
        record = replace(record, outcome=msgspec.structs.replace(record.outcome, postings=(), scores=()))
    return Logged(said.request_id, b"no record") if way == "UNREADABLE" else logged(record)


async def test_a_policy_file_that_holds_nothing_is_refused(log: Log, tmp_path: Path) -> None:
    done = await asyncio.to_thread(invoke, log.dsn, " \n", tmp_path)
    assert isinstance(done.exception, SettingsError)
    assert "is empty" in str(done.exception)


async def test_shorter_slates_are_told_by_the_places_that_are_left(log: Log, tmp_path: Path) -> None:
    page, wanted = tmp_path / "report.html", logging_policy(slate=Slate(default_limit=2, max_limit=2))
    _, found = await judged(log, wanted, tmp_path, "--html", str(page))
    items = found["items"]
    assert [len(items[side]["positions"]) for side in ("inForce", "wanted")] == [PLACES, 2]
    assert items["wanted"]["gain"]["high"] < 0
    assert any("at most 2 places" in each for each in found["notes"])
    assert (found["verdict"], found["refusals"]) == ("worse", [])
    assert ">Do not ship<" in page.read_text("utf-8")


async def test_an_unknown_feed_kind_or_market_is_refused(log: Log, tmp_path: Path) -> None:
    text = policy_to_toml(logging_policy()) + '\n[policy.scenarios.home]\nfeeds = ["nearst"]\n'
    done = await asyncio.to_thread(invoke, log.dsn, text, tmp_path)
    assert isinstance(done.exception, SettingsError)
    assert "nearst" in str(done.exception)
    for option, reason in (("--kind", "KIND_UNKNOWN"), ("--market", "MARKET_UNKNOWN")):
        done = await asyncio.to_thread(invoke, log.dsn, logging_policy(), tmp_path, option, "nowhere")
        assert isinstance(done.exception, CommandFailedError)
        assert done.exception.reason == reason
    done = await asyncio.to_thread(
        invoke, log.dsn, logging_policy(), tmp_path, "--since", "1h", "--until", "2h"
    )
    assert "--since" in str(done.exception.format_message())  # type: ignore[union-attr]


async def test_text_and_page_say_the_same_verdict(log: Log, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    done = await asyncio.to_thread(
        invoke, log.dsn, logging_policy(exploration=GREEDY), tmp_path, "--html", str(page)
    )
    assert done.exception is None, done.exception
    assert "Verdict: better." in done.stdout
    html = page.read_text("utf-8")
    assert "Verdict: better." in html
    assert html.count("<svg") == 4
    assert ">Ship<" in html
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    assert "<script" not in html

"""Policies tried beside the one in force: two gateways and a keeper, on real Postgres and Redis."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from nearcast.v1 import admin_pb2, catalog_pb2, event_pb2, market_pb2
from nearcast_cli.commands.experiment import command as experiment
from nearcast_cli.commands.policy import command as policy
from nearcast_cli.failure import CommandFailedError
from nearcast_store.experiments.postgres import PostgresExperimentStore
from nearcast_store.policies.postgres import PostgresPolicyStore
from tests.gateways import (
    Gateway,
    Refusal,
    Tenant,
    eventually,
    item,
    make_config,
    recommend,
    running_gateway,
    running_keeper,
)
from tests.geojsons import box
from tests.services import new_database

HERE = (59.91, 10.75)
PATIENT_S = 60.0
QUIET = "[policy.exploration]\nshare = 0\n[policy.decisions]\nlog_share = 0\n"
NEAREST = QUIET + '[policy.scenarios.default]\nfeeds = ["nearest"]\n[policy.slate]\ndefault_limit = 5\n'
NEWEST = QUIET + '[policy.scenarios.default]\nfeeds = ["newest"]\n[policy.slate]\ndefault_limit = 3\n'
SHADOW = admin_pb2.EXPERIMENT_MODE_SHADOW
# As a newer client may send it.
UNKNOWN_MODE: Any = 9


class House:
    """Two gateways of one installation, and a tenant with a market and a few items."""

    def __init__(self, gateways: list[Gateway], tenant: Tenant) -> None:
        self.gateways = gateways
        self.tenant = tenant

    async def call(self, request: Any, gateway: int = 0, **how: Any) -> Any:
        return await self.gateways[gateway].call(self.tenant, request, **how)

    async def apply(self, text: str) -> int:
        """In force, and followed by both gateways."""
        revision: int = (await self.call(admin_pb2.ApplyPolicyRequest(policy_toml=text))).revision
        await self.answered_under({revision})
        return revision

    async def start(self, name: str, text: str = NEWEST, share: float = 1.0, **more: Any) -> Any:
        request = admin_pb2.StartExperimentRequest(name=name, policy_toml=text, share=share, **more)
        return (await self.call(request)).experiment

    async def stop(self, name: str) -> Any:
        return (await self.call(admin_pb2.StopExperimentRequest(name=name), 1)).experiment

    async def report(self, name: str) -> Any:
        return await self.call(admin_pb2.GetExperimentRequest(name=name), 1)

    async def refused(self, request: Any, **how: Any) -> Refusal:
        with pytest.raises(Refusal) as told:
            await self.call(request, **how)
        return told.value

    async def answers(self, sessions: int = 20) -> list[Any]:
        asked = [recommend(*HERE, session_id=f"s-{number}") for number in range(sessions)]
        return [await self.call(request, number % 2) for number, request in enumerate(asked)]

    async def answered_under(self, revisions: set[int]) -> None:
        """Once both gateways do."""
        asked = [recommend(*HERE, session_id=f"s-{number}") for number in range(20)]

        async def seen() -> list[set[int]]:
            return [
                {(await self.call(request, gateway)).policy_revision for request in asked}
                for gateway in range(2)
            ]

        await eventually(seen, PATIENT_S, lambda found: found == [revisions, revisions])

    async def followed(self, revision: int) -> None:
        """Once an answer of each gateway is by it."""

        async def seen() -> set[int]:
            answers = [await self.call(recommend(*HERE), gateway) for gateway in range(2)]
            return {answer.policy_revision for answer in answers}

        await eventually(seen, PATIENT_S, lambda found: found == {revision})

    async def fetch(self, query: str) -> list[Any]:
        async with self.gateways[0].pool.connection() as connection:
            found: list[Any] = await connection.fetch(query, self.tenant.tenant_id)
        return found


@pytest.fixture(scope="module")
async def pair(
    postgres_server: str, migrated_template: str, _redis_databases: Iterator[str]
) -> AsyncIterator[list[Gateway]]:
    async with new_database(postgres_server, migrated_template) as dsn:
        config = make_config(dsn, next(_redis_databases))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("nearcast_statskeeper.roster.TENANTS_STALE_S", 0.05)
            async with (
                running_keeper(config),
                running_gateway(config) as one,
                running_gateway(config) as two,
            ):
                yield [one, two]


@pytest.fixture
async def house(pair: list[Gateway], request: pytest.FixtureRequest) -> House:
    tenant = await pair[0].new_tenant(f"t-{abs(hash(request.node.name)) % 10**9}")
    house = House(pair, tenant)

    async def known() -> str:
        return await pair[1].reason_of(tenant, recommend(*HERE))

    await eventually(known, PATIENT_S, lambda reason: reason != "SERVER_NOT_READY")
    oslo = market_pb2.Market(market_id="oslo", geometry=box(10.0, 59.0, 11.0, 60.0))
    await house.call(catalog_pb2.UpsertMarketsRequest(markets=[oslo]))
    items = [item(f"item-{n}", HERE[0] + n / 10_000, HERE[1]) for n in range(12)]
    await house.call(catalog_pb2.UpsertItemsRequest(items=items))

    async def shown() -> list[int]:
        asked = recommend(*HERE, limit=20)
        return [len((await house.call(asked, number)).items) for number in range(2)]

    await eventually(shown, PATIENT_S, lambda found: found == [12, 12])
    return house


async def test_a_share_of_sessions_is_decided_by_the_contender_and_keeps_its_arm(house: House) -> None:
    in_force = await house.apply(NEAREST)
    begun = time.monotonic()
    started = await house.start("halves", share=0.5)
    assert (started.against, started.revision > in_force) == (in_force, True)
    await house.answered_under({in_force, started.revision})
    assert time.monotonic() - begun < PATIENT_S
    first, second = await house.answers(60), await house.answers(60)
    arms = [answer.policy_revision for answer in first]
    assert arms == [answer.policy_revision for answer in second]
    assert 15 < arms.count(started.revision) < 45
    told = {(answer.policy_revision, answer.feed, len(answer.items)) for answer in first}
    assert told == {(in_force, "nearest", 5), (started.revision, "newest", 3)}
    shown = await house.call(admin_pb2.GetPolicyRequest())
    assert shown.revision == in_force
    stopped = await house.stop("halves")
    assert stopped.HasField("stopped_at")
    await house.answered_under({in_force})


async def test_every_gateway_follows_a_start_and_a_stop_within_two_seconds(house: House) -> None:
    """From the call to the last gateway that answers by it; the best of three, as a machine may be busy."""
    in_force = await house.apply(NEAREST)
    began, ended = [], []
    for name in ("first", "second", "third"):
        at = time.monotonic()
        started = await house.start(name)
        await house.followed(started.revision)
        began.append(time.monotonic() - at)
        at = time.monotonic()
        await house.stop(name)
        await house.followed(in_force)
        ended.append(time.monotonic() - at)
    assert min(began) < 2.0
    assert min(ended) < 2.0


async def test_a_visit_without_a_name_keeps_its_arm_by_its_token_and_a_page_its_policy(house: House) -> None:
    in_force = await house.apply(NEAREST)
    started = await house.start("visits", share=0.5)
    await house.answered_under({in_force, started.revision})
    for _ in range(12):
        answer = await house.call(recommend(*HERE))
        token = answer.session_token
        again = [await house.call(recommend(*HERE, session_token=token), turn % 2) for turn in range(3)]
        assert {each.policy_revision for each in again} == {answer.policy_revision}
    slates = {answer.policy_revision: (f"s-{n}", answer) for n, answer in enumerate(await house.answers())}
    for revision, (session, began) in slates.items():
        page = await house.call(recommend(*HERE, session_id=session, page_token=began.next_page_token))
        assert (page.policy_revision, page.feed) == (revision, began.feed)
        assert not {each.item_id for each in page.items} & {each.item_id for each in began.items}
    await house.stop("visits")
    await house.answered_under({in_force})
    session, began = slates[in_force]
    page = await house.call(recommend(*HERE, session_id=session, page_token=began.next_page_token))
    assert page.policy_revision == in_force


async def test_events_are_told_apart_by_arm_and_teach_items_but_not_the_bandit_of_feeds(house: House) -> None:
    await house.apply(NEAREST)
    trials = "select feed from feed_trials where tenant_id = $1"

    async def tried() -> list[Any]:
        """Sessions of the policy in force, until one was given its feed by an epoch."""
        token = (await house.call(recommend(*HERE))).items[0].reward_token
        event = event_pb2.Event(kind="impression", reward_token=token)
        await house.call(event_pb2.RecordEventsRequest(events=[event]))
        return await house.fetch(trials)

    await eventually(tried, PATIENT_S)
    started = await house.start("told", NEAREST.replace("= 5", "= 3"))
    await house.answered_under({started.revision})
    before = await house.fetch(trials)
    acts = []
    for number in range(6):
        answer = await house.call(recommend(*HERE, session_id=f"b-{number}"))
        tokens = [each.reward_token for each in answer.items]
        acts += [event_pb2.Event(kind="impression", reward_token=token) for token in tokens]
        acts.append(event_pb2.Event(kind="apply", reward_token=tokens[0]))
    results = (await house.call(event_pb2.RecordEventsRequest(events=acts))).results
    assert all(result.learned for result in results)

    async def reported() -> Any:
        return (await house.report("told")).split.contender

    arm = await eventually(reported, PATIENT_S, lambda found: found.impressions == 18)
    assert (arm.sessions, arm.rewarded_sessions) == (6, 6)
    assert {each.kind: each.count for each in arm.successes} == {"view": 0, "save": 0, "apply": 6}
    applied = await house.fetch(
        "select sum(count)::int as n from item_counts where tenant_id = $1 and kind = 4"
    )
    assert applied[0]["n"] == 6
    assert await house.fetch(trials) == before
    await house.stop("told")


async def test_a_report_tells_the_difference_and_refuses_while_evidence_is_thin(house: House) -> None:
    in_force = await house.apply(NEAREST)
    started = await house.start("worth", share=0.5)
    await house.answered_under({in_force, started.revision})
    thin = (await house.report("worth")).split
    assert not thin.HasField("difference")
    assert any("sessions and needs at least 100" in said for said in thin.missing)
    arms: dict[int, int] = {in_force: 0, started.revision: 0}
    rewarded = dict(arms)
    for begin in range(0, 300, 50):
        asked = [recommend(*HERE, session_id=f"w-{number}") for number in range(begin, begin + 50)]
        answers = await asyncio.gather(*(house.call(request) for request in asked))
        acts = []
        for answer in answers:
            token, arm = answer.items[0].reward_token, answer.policy_revision
            acts.append(event_pb2.Event(kind="impression", reward_token=token))
            # Every third session of the one arm saves something, and every second of the other.
            arms[arm] += 1
            if arms[arm] % (2 if arm == started.revision else 3) == 0:
                acts.append(event_pb2.Event(kind="save", reward_token=token))
                rewarded[arm] += 1
        await house.call(event_pb2.RecordEventsRequest(events=acts))

    async def counted() -> int:
        split = (await house.report("worth")).split
        return int(split.in_force.rewarded_sessions + split.contender.rewarded_sessions)

    await eventually(counted, PATIENT_S, lambda count: count == sum(rewarded.values()))
    split = (await house.report("worth")).split
    assert (split.in_force.sessions, split.contender.sessions) == (arms[in_force], arms[started.revision])
    weight = 2.0
    means = [weight * rewarded[arm] / arms[arm] for arm in (in_force, started.revision)]
    assert split.in_force.reward_per_session.value == pytest.approx(means[0])
    assert split.contender.reward_per_session.value == pytest.approx(means[1])
    assert split.difference.value == pytest.approx(means[1] - means[0])
    assert split.difference.low < split.difference.value < split.difference.high
    assert split.gain.value == pytest.approx(means[1] / means[0] - 1)
    assert (split.mixed_sessions, list(split.missing)) == (0, [])
    assert [(each.revision, each.counted) for each in split.served] == [(in_force, True)]
    await house.stop("worth")


async def test_what_cannot_be_tried_is_refused_with_reason_and_field(house: House) -> None:
    number = await house.apply(NEAREST)
    start = admin_pb2.StartExperimentRequest
    half_life = NEAREST + "[policy.exposure]\nhalf_life_hours = 5\n"
    cases: list[tuple[Any, str, str]] = [
        (start(name="a", policy_toml=NEWEST, share=1.5), "SHARE_OUT_OF_RANGE", "share"),
        (start(name="a", policy_toml=NEWEST, share=0.0), "SHARE_OUT_OF_RANGE", "share"),
        (start(name="a", policy_toml=NEWEST, share=float("nan")), "SHARE_OUT_OF_RANGE", "share"),
        (start(policy_toml=NEWEST, share=0.1), "REQUIRED_FIELD", "name"),
        (start(name="A b", policy_toml=NEWEST, share=0.1), "ID_CHARSET", "name"),
        (start(name="a" * 41, policy_toml=NEWEST, share=0.1), "ID_LENGTH", "name"),
        (start(name="a", share=0.1), "REQUIRED_FIELD", "policy_toml"),
        (start(name="a", policy_toml=NEWEST, revision=1, share=0.1), "REQUIRED_FIELD", "policy_toml"),
        (
            start(name="a", policy_toml="[policy.slate]\nlimit = 1\n", share=0.1),
            "POLICY_INVALID",
            "policy.slate.limit",
        ),
        (
            start(name="a", policy_toml=half_life, share=0.1),
            "EXPERIMENT_UNFIT",
            "policy.exposure.half_life_hours",
        ),
        (start(name="a", policy_toml=NEWEST, share=0.1, mode=UNKNOWN_MODE), "UNKNOWN_ENUM_VALUE", "mode"),
        (start(name="a", revision=number, share=0.1), "EXPERIMENT_UNFIT", "policy"),
        (start(name="a", policy_toml=NEWEST, share=0.1, note="x" * 301), "TEXT_TOO_LONG", "note"),
    ]
    for request, reason, field in cases:
        told = await house.refused(request)
        assert (told.reason, told.violations[0][0]) == (reason, field), request
    told = await house.refused(start(name="a", revision=9999, share=0.1))
    assert (told.code, told.reason) == ("NOT_FOUND", "POLICY_REVISION_NOT_FOUND")
    for request in (admin_pb2.StopExperimentRequest(name="no"), admin_pb2.GetExperimentRequest(name="no")):
        told = await house.refused(request)
        assert (told.code, told.reason, told.metadata["field"]) == (
            "NOT_FOUND",
            "EXPERIMENT_NOT_FOUND",
            "name",
        )
    for role in ("client", "backend"):
        assert (await house.refused(cases[0][0], role=role)).reason == "INSUFFICIENT_SCOPE"
    await house.start("one", share=0.1)
    told = await house.refused(start(name="two", policy_toml=NEWEST, share=0.1))
    assert (told.code, told.reason, told.metadata["running"]) == ("ABORTED", "EXPERIMENT_RUNNING", "one")
    assert (
        await house.refused(start(name="one", policy_toml=NEWEST, share=0.1))
    ).reason == "EXPERIMENT_EXISTS"
    await house.stop("one")
    assert (await house.refused(admin_pb2.StopExperimentRequest(name="one"))).reason == "EXPERIMENT_STOPPED"
    assert (await house.refused(admin_pb2.ListExperimentsRequest(limit=-1))).reason == "LIMIT_OUT_OF_RANGE"
    listed = (await house.call(admin_pb2.ListExperimentsRequest(limit=5))).experiments
    assert [each.name for each in listed] == ["one"]


async def test_nothing_is_tried_over_a_frozen_market_and_a_freeze_holds_at_once(house: House) -> None:
    in_force = await house.apply(NEAREST)
    started = await house.start("cold")
    await house.answered_under({started.revision})
    frozen = (await house.call(admin_pb2.FreezeRequest(market="oslo"))).revision
    assert frozen > started.revision > in_force
    await house.answered_under({frozen})
    assert all(answer.frozen for answer in await house.answers())
    standing = await house.report("cold")
    assert [note.key for note in standing.paused_by] == ["policy.markets.oslo.frozen"]
    told = await house.refused(
        admin_pb2.StartExperimentRequest(name="shy", policy_toml=NEWEST, share=0.1, mode=SHADOW)
    )
    assert ("EXPERIMENT_UNFIT", "policy.markets.oslo.frozen") in {
        (reason, field) for field, reason, _ in told.violations
    }
    await house.call(admin_pb2.UnfreezeRequest(market="oslo"))
    await house.answered_under({started.revision})
    await house.stop("cold")


async def test_a_shadow_is_decided_and_kept_while_the_policy_in_force_is_served(house: House) -> None:
    in_force = await house.apply(NEAREST)
    # Another belief, which no replica was told: the index is asked for it.
    believing = (
        QUIET + '[policy.scenarios.default]\nfeeds = ["newest"]\n[policy.kinds.view]\nprior_mean = 0.3\n'
    )
    started = await house.start("dark", believing, mode=SHADOW)

    async def compared() -> Any:
        answers = await house.answers(4)
        assert {answer.policy_revision for answer in answers} == {in_force}
        return (await house.report("dark")).shadow

    shadow = await eventually(compared, PATIENT_S, lambda found: found.compared >= 8)
    assert [(pair.feed, pair.shadow_feed) for pair in shadow.feeds] == [("nearest", "newest")]
    # Five of the twelve items are shown, and the shadow shows all of them: among those are the five.
    assert shadow.overlap == pytest.approx(5 / 12)
    assert (shadow.new_share, shadow.shadow_new_share) == (1.0, 1.0)
    rows = await house.fetch("select * from shadow_decisions where tenant_id = $1")
    assert {(len(row["postings"]), len(row["shadow_postings"]), row["common_count"]) for row in rows} == {
        (5, 12, 5)
    }
    assert started.mode == SHADOW
    await house.stop("dark")
    kept = PostgresExperimentStore(house.gateways[0].pool)
    assert await kept.forget_before(time.time() + 1) >= len(rows)


async def test_an_equal_draw_of_a_shadow_shows_the_same_slate(house: House) -> None:
    """The same request under a policy that differs in what this surface does not use: the same seed."""
    drawn = QUIET + '[policy.scenarios.default]\nfeeds = ["draw"]\n'
    await house.apply(drawn)
    await house.start("same", drawn + "[policy.slate]\nmax_limit = 99\n", mode=SHADOW)

    async def compared() -> Any:
        await house.answers(4)
        return (await house.report("same")).shadow

    shadow = await eventually(compared, PATIENT_S, lambda found: found.compared >= 8)
    assert (shadow.overlap, shadow.same_first, shadow.equal) == (1.0, 1.0, 1.0)
    await house.stop("same")


async def test_a_contender_is_a_revision_that_is_never_in_force(house: House) -> None:
    in_force = await house.apply(NEAREST)
    store = PostgresPolicyStore(house.gateways[0].pool)
    started = await house.start("kept", share=0.1)
    assert (await store.current(house.tenant.tenant_id)).number == in_force
    found = await store.revision(house.tenant.tenant_id, started.revision)
    assert found is not None
    assert found.policy.slate.default_limit == 3
    listed = (await house.call(admin_pb2.ListPolicyRevisionsRequest(page_size=2))).revisions
    assert [(each.revision, each.contender) for each in listed] == [
        (started.revision, True),
        (in_force, False),
    ]
    with pytest.raises(Refusal) as missing:
        await house.call(admin_pb2.GetPolicyRequest(revision=started.revision + 1))
    assert missing.value.metadata["newest"] == str(started.revision)
    await house.stop("kept")
    promoted = await house.call(admin_pb2.RollbackPolicyRequest(revision=started.revision))
    assert promoted.revision > started.revision
    await house.answered_under({promoted.revision})


def invoke(house: House, *arguments: str) -> Result:
    where = ("--tenant", house.tenant.slug, "--postgres-dsn", house.gateways[0].config.postgres.dsn)
    group = policy if arguments[0] == "shadow" else experiment
    return CliRunner().invoke(group, [*arguments, *where], standalone_mode=False)


async def test_the_commands_begin_report_and_stop(house: House, tmp_path: Path) -> None:
    in_force = await house.apply(NEAREST)
    file = tmp_path / "new.toml"
    file.write_text(NEWEST, "utf-8")

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(invoke, house, *arguments)

    begun = await run("start", "typed", "--policy", str(file), "--share", "0.5", "--note", "why", "--json")
    said = json.loads(begun.stdout)["experiment"]
    assert (said["name"], said["mode"], said["against"]) == ("typed", "EXPERIMENT_MODE_SPLIT", str(in_force))
    report = await run("report", "typed")
    assert "No verdict:" in report.stdout
    assert "the contender has 0 sessions and needs at least 100" in report.stdout
    assert json.loads((await run("report", "typed", "--json")).stdout)["split"]["missing"]
    second = await run("start", "other", "--policy", str(file), "--share", "0.5")
    assert isinstance(second.exception, CommandFailedError)
    assert second.exception.reason == "EXPERIMENT_RUNNING"
    await house.apply(NEAREST + "[policy.exposure]\nhalf_life_hours = 9\n")
    assert "Paused" in (await run("report", "typed")).stdout
    assert "Stopped: split typed" in (await run("stop", "typed")).stdout
    assert "typed" in (await run("list")).stdout
    unfit = await run("shadow", str(file), "--share", "0.5")
    assert isinstance(unfit.exception, CommandFailedError)
    assert "policy.exposure.half_life_hours: differs" in str(unfit.exception.message)
    await house.apply(NEAREST)
    assert "Begun: shadow shadow-" in (await run("shadow", str(file), "--share", "1")).stdout
    assert "Nothing was compared yet" in (await run("shadow", "--report")).stdout

    async def compared() -> bool:
        await house.answers(4)
        return "items in both" in (await run("shadow", "--report")).stdout

    await eventually(compared, PATIENT_S)
    assert "Stopped: shadow" in (await run("shadow", "--stop")).stdout
    none = await run("shadow", "--stop")
    assert isinstance(none.exception, CommandFailedError)
    assert none.exception.reason == "EXPERIMENT_NOT_FOUND"

"""A logged decision tells of any item what was known when it was made, and no more than that."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from nearcast.v1 import admin_pb2
from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_catalogue.item import Item, Place
from nearcast_catalogue.posting import ItemId
from nearcast_config.arrangement import Diversity, Pin
from nearcast_config.policy import Decisions, Policy, Priors, Scenario
from nearcast_config.surfacing import Boost
from nearcast_ledger.hashing import subject_hash
from nearcast_ledger.kinds import IMPRESSION, VIEW
from nearcast_ledger.person import Person
from nearcast_server.deciding import Decider
from nearcast_server.decisionlog import DecisionLog
from nearcast_server.evidence import Learner
from nearcast_server.recalling import Recall
from nearcast_server.recommending import Recommender, Slate
from nearcast_server.retelling import DecisionTold, ItemTold, Teller
from nearcast_server.rpc.retold import to_decision
from nearcast_server.searching import IndexFinder
from nearcast_store.catalog.memory import MemoryCatalogStore
from nearcast_store.changes.memory import MemoryChangeFeed
from nearcast_store.decisions.codec import pack, unpack
from nearcast_store.decisions.stream import Logged
from nearcast_store.policies.memory import MemoryPolicyStore
from nearcast_store.priors.protocol import EVERYWHERE, PriorFit
from nearcast_store.seen.protocol import Sightings
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics
from tests.unit.server.scene import (
    CENTER,
    KEYRING,
    METRES_PER_DEGREE,
    NOW,
    TENANT,
    Scene,
    make_area,
    make_count,
    make_policy,
    make_query,
    make_view,
    tagged,
)

ANN = Person(user_id="ann")
ITEMS, SHOWN = 12, 4
BOOSTS = (Boost(8.0, category="food"), Boost(0.25, tag="late"))
FITTED = Priors(mode="learned")
OF_FOOD = LevelPrior(Prior(0.3, 40.0), Level.CATEGORY, FitKind.FITTED, 6, 900.0, 270.0, 0.8)
OF_ALL = LevelPrior(Prior(0.1, 20.0), Level.ALL, FitKind.FITTED, 12, 1_000.0, 100.0, 0.6)


def some_item(number: int, **changed: object) -> Item:
    place = Place(CENTER.lat + 100.0 * number / METRES_PER_DEGREE, CENTER.lon)
    made = Item(
        ItemId(f"item-{number}"),
        (place,),
        category=("food", "jobs")[number % 2],
        tags=tagged("late") if number % 3 == 0 else (),
        owner=f"owner-{number % 2}",
    )
    return msgspec.structs.replace(made, **changed)


@dataclass
class House:
    """Twelve items, a gateway that logs, and whoever reads the log."""

    scene: Scene
    catalog: MemoryCatalogStore
    policies: MemoryPolicyStore
    kept: dict[UUID, bytes]

    async def append(self, tenant_id: int, logged: Sequence[Logged]) -> int:
        self.kept |= {each.request_id: each.record for each in logged}
        return len(logged)

    async def find(self, tenant_id: int, request_id: UUID) -> bytes | None:
        return self.kept.get(request_id)

    async def decide(self, limit: int = SHOWN, **changed: object) -> Slate:
        log = DecisionLog(self, "1.0", Metrics(CollectorRegistry(), SERVER_METRICS))
        scene = self.scene
        decider = Decider(scene.request_ids, scene.random.randbytes)
        recommender = Recommender(
            IndexFinder(scene.index), scene.tenancies, lambda: NOW, decider, Recall(scene.seen), log
        )
        slate = await recommender.recommend(
            TENANT, make_query(make_area(limit=limit), explain=True, **changed)
        )
        await log.send()
        return slate

    async def tell(self, slate: Slate, *item_ids: str) -> DecisionTold:
        teller = Teller(self, self.catalog, self.policies, 30, lambda: NOW)
        return await teller.tell(TENANT, slate.decision.request_id, item_ids)

    async def items(self, slate: Slate, *item_ids: str) -> dict[str, ItemTold]:
        return {each.item_id: each for each in (await self.tell(slate, *item_ids)).items}


async def house_of(scenario: Scenario | None = None, **changed: object) -> House:
    scenario = msgspec.structs.replace(scenario or Scenario(), feeds=("draw",))
    policy: Policy = make_policy(
        scenarios={"default": scenario}, decisions=Decisions(log_share=0.0), **changed
    )
    catalog, policies = (
        MemoryCatalogStore(MemoryChangeFeed(lambda: NOW)),
        MemoryPolicyStore(lambda: NOW, first=policy),
    )
    await policies.current(TENANT)
    scene = Scene(make_view(policy, counts=[make_count(posting, VIEW, posting) for posting in range(1, 6)]))
    house = House(scene, catalog, policies, {})
    await put(house, *map(some_item, range(1, ITEMS + 1)))
    return house


async def put(house: House, *items: Item, now: float = NOW - 100.0) -> None:
    await house.catalog.upsert(TENANT, items, now)
    for item in items:
        stored = await house.catalog.get(TENANT, item.item_id)
        assert stored is not None
        house.scene.put(stored.served)


EVERYBODY = tuple(f"item-{number}" for number in range(1, ITEMS + 1))


async def test_priors_and_evidence_are_those_that_an_explanation_tells() -> None:
    house = await house_of(priors=FITTED)
    revision = house.scene.view.revision
    learner = Learner()
    learner.follow(revision, NOW)
    learner.assume(PriorFit(TENANT, 7, b"", NOW, {VIEW: {EVERYWHERE: OF_ALL, (0, "food"): OF_FOOD}}))
    learner.learn(
        [
            make_count(posting, kind, count * posting)
            for posting in range(1, 6)
            for kind, count in ((IMPRESSION, 10), (VIEW, 2))
        ]
    )
    house.scene.show(replace(house.scene.view, evidence=learner.evidence(NOW)))
    slate = await house.decide(limit=ITEMS)
    told = await house.items(slate)
    assert set(told) == set(EVERYBODY)
    beliefs, levels = slate.beliefs, set()
    for column, placed in enumerate(slate.items):
        for row, kind in enumerate(told[placed.shown.item_id].kinds):
            begun, prior = kind.begun, beliefs.prior(row, column)
            assert begun is not None
            assert begun.fit == 7
            assert begun.exposure == pytest.approx(beliefs.exposures[row, column], abs=1e-3)
            assert begun.success == pytest.approx(beliefs.successes[row, column], abs=1e-3)
            assert begun.beginning.mean == pytest.approx(prior.prior.mean)
            assert begun.beginning.strength == pytest.approx(prior.prior.strength)
            assert (begun.beginning.level, begun.beginning.items) == (prior.level, prior.children)
            levels.add((kind.kind, begun.beginning.level))
    assert levels >= {("view", Level.ALL), ("view", Level.CATEGORY), ("save", Level.CONFIGURED)}
    (wired,) = [
        each for each in to_decision(await house.tell(slate, "item-2")).items[0].kinds if each.kind == "view"
    ]
    assert wired.prior_origin.fit == 7
    assert (wired.prior_origin.items, wired.prior_origin.success) == (6, 270.0)


async def test_successes_beyond_the_exposures_leave_the_exposure_open() -> None:
    house = await house_of()
    told = await house.items(await house.decide(), "item-5", "item-9")
    kinds = {kind.kind: kind.begun for kind in told["item-5"].kinds}
    assert kinds["view"] is not None
    assert kinds["view"].exposure is None
    assert kinds["view"].success == pytest.approx(5.0, rel=0.2)
    assert kinds["save"] is not None
    assert (kinds["save"].exposure, kinds["save"].success) == (0.0, 0.0)


async def test_boosts_distance_and_what_was_seen_are_told_apart() -> None:
    surface = Scenario(boosts=BOOSTS, distance_half_m=500.0, seen="fade", seen_fade=0.25)
    house = await house_of(surface)
    who = subject_hash(KEYRING.signing_key.secret, ANN.user_id, "")
    seen = Sightings(TENANT, who, {6: int(NOW * 1000)}, 10_000, 0, 3_600_000)
    await house.scene.seen.add([seen])
    slate = await house.decide(person=ANN)
    told = await house.items(slate, *EVERYBODY)
    for number in range(1, ITEMS + 1):
        item = told[f"item-{number}"]
        assert item.multiplied is not None
        parts = {(part.rule, part.name): part.factor for part in item.multiplied.parts}
        wanted: dict[tuple[str, str], object] = {
            ("distance", ""): pytest.approx(2.0 ** -(number / 5), rel=1e-4)
        }
        wanted |= {("category", "food"): 8.0} if number % 2 == 0 else {}
        wanted |= {("tag", "late"): 0.25} if number % 3 == 0 else {}
        wanted |= {("seen", ""): 0.25} if number == 6 else {}
        assert parts == wanted
        assert item.multiplied.factor == pytest.approx(math.prod(parts.values()))
        assert item.multiplied.distance_m == pytest.approx(100.0 * number, rel=1e-3)
        assert item.multiplied.unnamed == 1


async def test_boosts_of_what_has_changed_since_are_not_guessed() -> None:
    house = await house_of(Scenario(boosts=BOOSTS))
    slate = await house.decide()
    await house.catalog.upsert(TENANT, [some_item(6, category="jobs")], NOW + 60.0)
    told = await house.items(slate, "item-6", "item-4")
    assert told["item-6"].is_changed
    assert told["item-6"].multiplied is not None
    assert (told["item-6"].multiplied.parts, told["item-6"].multiplied.unnamed) == ((), 2.0)
    assert told["item-4"].multiplied is not None
    assert [part.name for part in told["item-4"].multiplied.parts] == ["food"]


async def test_what_has_ended_since_says_so() -> None:
    house = await house_of(Scenario(boosts=BOOSTS))
    slate = await house.decide()
    gone = slate.items[0].shown.item_id
    await house.catalog.delete(TENANT, [gone], NOW + 60.0)
    told = await house.items(slate)
    assert [item_id for item_id, each in told.items() if each.is_changed] == [gone]
    assert told[gone].rank == 1


async def test_no_distance_is_told_where_nothing_went_by_it() -> None:
    house = await house_of()
    told = to_decision(await house.tell(await house.decide(), *EVERYBODY))
    assert not any(each.HasField("distance_m") for each in told.items)
    assert told.radius_used_m == house.scene.view.revision.policy.radius.default_m


async def test_rules_that_gave_places_are_named_with_the_place_without_them() -> None:
    surface = Scenario(pins=(Pin("item-12", 1),))
    house = await house_of(surface, diversity=Diversity(most_per_owner=1, window=2))
    told = await house.items(await house.decide(), *EVERYBODY)
    pinned = told["item-12"]
    assert (pinned.rank, pinned.standing) == (1, "SHOWN")
    rules = {move.rule: move.rank_without for move in pinned.moves}
    assert rules["pins"] != 1
    assert pinned.drawn_rank > 1
    lost = [each for each in told.values() if each.causes == ("PLACES",)]
    assert lost
    for each in lost:
        assert each.drawn_rank <= SHOWN
    worse = [each for each in told.values() if each.causes == ("LOWER_SCORE",)]
    assert all(each.drawn_rank > SHOWN and each.score is not None for each in worse)
    assert {each.standing for each in worse} == {"NOT_CHOSEN"}
    assert len(lost) + len(worse) == ITEMS - SHOWN


async def test_diversity_alone_is_named_for_whom_it_moved() -> None:
    house = await house_of(diversity=Diversity(most_per_owner=1, window=2))
    told = (await house.items(await house.decide(), *EVERYBODY)).values()
    assert {move.rule for each in told for move in each.moves} == {"diversity"}
    for each in told:
        without = each.drawn_rank if each.drawn_rank <= SHOWN else 0
        assert [move.rank_without for move in each.moves] == ([] if without == each.rank else [without])


async def test_what_was_no_candidate_tells_what_can_be_known_without_the_place() -> None:
    house = await house_of(Scenario(exclude_categories=("adult",), exclude_item_ids=("barred",)))
    await put(
        house,
        some_item(13, item_id="over", expires_at=NOW - 1),
        some_item(14, item_id="barred"),
        some_item(15, item_id="naughty", category="adult"),
        some_item(16, item_id="far", places=(Place(CENTER.lat + 1, CENTER.lon),)),
        some_item(17, item_id="moved", places=(Place(CENTER.lat + 1, CENTER.lon),)),
    )
    slate = await house.decide()
    await house.catalog.upsert(TENANT, [some_item(18, item_id="young")], NOW + 5)
    await house.catalog.upsert(TENANT, [some_item(17, item_id="moved")], NOW + 5)
    told = await house.items(slate, "over", "barred", "naughty", "far", "young", "moved", "nobody")
    assert {name: (each.standing, each.causes) for name, each in told.items()} == {
        "over": ("LEFT_OUT", ("EXPIRED",)),
        "barred": ("LEFT_OUT", ("EXCLUDED",)),
        "naughty": ("LEFT_OUT", ("CATEGORY",)),
        "far": ("LEFT_OUT", ()),
        "young": ("LEFT_OUT", ("LATER",)),
        "moved": ("LEFT_OUT", ()),
        "nobody": ("NOT_FOUND", ()),
    }
    assert [name for name, each in told.items() if each.is_changed] == ["young", "moved"]


async def test_an_earlier_page_is_the_cause_of_what_it_showed() -> None:
    house = await house_of()
    first = await house.decide()
    later = await house.decide(page_token=first.next_page_token)
    shown = first.items[0].shown.item_id
    assert (await house.items(later, shown))[shown].causes == ("SHOWN_BEFORE",)


async def test_a_record_without_what_was_believed_beforehand_tells_the_rest() -> None:
    house = await house_of()
    slate = await house.decide()
    record = unpack(house.kept[slate.decision.request_id])
    house.kept[slate.decision.request_id] = pack(replace(record, beginnings=None))
    message = to_decision(await house.tell(slate))
    assert message.replay == admin_pb2.ExplainDecisionResponse.REPLAY_EQUAL
    for item in message.items:
        assert not any(kind.HasField("prior_mean") or kind.HasField("exposure") for kind in item.kinds)
        assert item.propensities

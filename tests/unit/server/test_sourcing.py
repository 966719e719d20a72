"""Where candidates come from while what a gateway follows and what its replica was told are not the same."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from nearcast_catalogue.eligibility import Filter
from nearcast_replica.files import Files
from nearcast_replica.twin import Twin
from nearcast_replica.writing import SegmentWriter
from nearcast_server.answering import ReplicaFinder
from nearcast_server.finding import ByFeed, Finding, Listed, Ranking, Search
from nearcast_server.gathering import Reach
from nearcast_server.replicas import Replicas
from nearcast_server.searching import IndexFinder
from nearcast_server.sourcing import Source
from nearcast_server.tenancy import Tenancies, View
from nearcast_store.errors import IndexUnavailableError
from nearcast_store.index.memory import MemoryGeoIndex
from nearcast_telemetry.metrics import SERVER_METRICS, Metrics
from tests.conftest import FixedClock
from tests.unit.server.scene import CENTER, TENANT, make_served, make_view

LAG_S = 3.0
NEAR = Reach(1000.0, 1000.0, 1000.0, (), 5, 100)


class Index(IndexFinder):
    """May be away."""

    is_away = False

    async def find(self, search: Search) -> Finding:
        if self.is_away:
            raise IndexUnavailableError("the index is away")
        return await super().find(search)


class Trusting:
    """Doubts no replica."""

    def note(self, search: Search) -> None:
        """Looks at nothing."""

    def doubts(self, tenant_id: int) -> bool:
        return False


class Host:
    """A gateway's way to candidates, and the scribe of its host; all in one hand."""

    def __init__(self, directory: Path, clock: FixedClock) -> None:
        self.clock, self.tenancies, stored = clock, Tenancies(), MemoryGeoIndex()
        files = Files(directory, directory, "test", TENANT)
        self.view = view_by(1)
        self.writer = SegmentWriter(files, "test", tuple(sorted(self.view.evidence.numbers)), clock)
        items = [make_served(posting, 10.0 * posting) for posting in range(1, 6)]
        for served in items:
            stored.put(TENANT, served)
        filling = self.writer.begin_filling()
        filling.add(items, [served.item.item_id.encode() for served in items])
        generation = filling.finish(1)
        generation.forget(self.view.evidence.rules)
        self.writer.adopt(generation)
        self.tenancies.publish(self.view)
        self.replicas = Replicas(lambda _: files, "test", self.tenancies, Twin, clock)
        self.index, finder = Index(stored), ReplicaFinder(self.replicas)
        metrics = Metrics(CollectorRegistry(), SERVER_METRICS)
        self.source = Source("auto", LAG_S, finder, self.replicas, self.index, Trusting(), metrics)

    def tell(self, rules: int) -> None:
        """The scribe goes over to other rules."""
        merge = self.writer.begin_merge()
        merged = merge.run()
        merged.forget(rules)
        assert self.writer.finish_merge(merge, merged, lambda _: None)

    async def pass_by(self, seconds: float) -> None:
        """The scribe lives on, and the gateway looks at what it wrote."""
        self.clock.advance(seconds)
        self.writer.note_abreast(self.clock())
        await self.replicas.refresh()

    async def ask(self, ranking: Ranking) -> Finding:
        return await self.source.find(Search(self.view, CENTER, NEAR, Filter(), ranking, 5, self.clock()))


DRAWN, LISTED = ByFeed("draw", 7), Listed()


def view_by(rules: int) -> View:
    view = make_view()
    return replace(view, evidence=replace(view.evidence, rules=rules))


@pytest.fixture
async def host(tmp_path: Path, clock: FixedClock) -> AsyncIterator[Host]:
    host = Host(tmp_path, clock)
    await host.replicas.open()
    await host.pass_by(0.0)
    yield host
    host.writer.close()


async def test_a_scribe_that_is_ahead_leaves_a_moment_to_follow(host: Host) -> None:
    host.tell(2)
    await host.pass_by(1.0)
    await host.pass_by(LAG_S - 1.0)
    found = await host.ask(DRAWN)
    assert (found.shortfall, found.age_s, len(found.items)) == (None, LAG_S - 1.0, 5)


async def test_what_stands_still_for_longer_is_asked_of_the_index(host: Host) -> None:
    """But a list, which goes by no rules."""
    host.tell(2)
    await host.pass_by(1.0)
    await host.pass_by(600.0)
    assert (await host.ask(DRAWN)).shortfall == "CANDIDATES_FROM_REDIS"
    listed = await host.ask(LISTED)
    assert (listed.shortfall, listed.age_s) == (None, 0.0)


async def test_without_an_index_what_stands_still_goes_on_answering(host: Host) -> None:
    """As when Postgres went away for the gateway right after its scribe had read a policy."""
    host.tell(2)
    await host.pass_by(1.0)
    await host.pass_by(600.0)
    host.index.is_away = True
    for _ in range(2):
        found = await host.ask(DRAWN)
        assert (found.shortfall, found.age_s, len(found.items)) == ("REPLICA_STALE", 600.0, 5)
    assert host.writer.merge()
    await host.pass_by(60.0)
    found = await host.ask(DRAWN)
    assert (found.shortfall, found.age_s, len(found.items)) == ("REPLICA_STALE", 660.0, 5)


async def test_what_nobody_follows_is_let_go(host: Host) -> None:
    host.tell(2)
    await host.pass_by(1.0)
    host.view = view_by(2)
    host.tenancies.publish(host.view)
    mapped = host.replicas.size_bytes()
    await host.pass_by(1.0)
    assert host.replicas.size_bytes() < mapped
    assert (await host.ask(DRAWN)).shortfall is None
    assert not host.replicas.believes(view_by(1))


async def test_what_is_not_mapped_yet_makes_nothing_here_abreast(host: Host) -> None:
    """What the scribe says of its newest generation is no word about the one that answers."""
    host.tell(1)
    host.clock.advance(0.5)
    host.writer.note_abreast(host.clock())
    assert host.replicas.abreast_at(TENANT) == 0.0
    await host.replicas.refresh()
    assert host.replicas.abreast_at(TENANT) == pytest.approx(host.clock(), abs=0.01)

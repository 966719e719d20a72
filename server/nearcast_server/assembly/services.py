"""The services that answer, and the rules behind each of them."""

import asyncio
import os
import secrets
import socket
import time
from dataclasses import dataclass

from nearcast_config.process import ProcessConfig
from nearcast_ledger.event import Durability
from nearcast_ledger.requestid import RequestIds
from nearcast_server.appraising import Appraiser
from nearcast_server.assembly.stores import Stores
from nearcast_server.bordering import MarketKeeper
from nearcast_server.cataloguing import Cataloguer
from nearcast_server.comparing import Comparer
from nearcast_server.deciding import Decider
from nearcast_server.decisionlog import DecisionLog
from nearcast_server.experimenting import Experimenter
from nearcast_server.finding import Finder
from nearcast_server.gate import Gate
from nearcast_server.governing import Governor
from nearcast_server.listing import Lister
from nearcast_server.listpages import MARKETS, POLICIES, ListPages
from nearcast_server.noticeboard import Noticeboard
from nearcast_server.recalling import Recall
from nearcast_server.recollection import NotingLog, Recollection
from nearcast_server.recommending import Recommender
from nearcast_server.recording import Recorder
from nearcast_server.rehearsing import Rehearsal
from nearcast_server.reporting import Reporter
from nearcast_server.retelling import Teller
from nearcast_server.rpc.admin import AdminService
from nearcast_server.rpc.catalog import CatalogService
from nearcast_server.rpc.event import EventService
from nearcast_server.rpc.experiments import ExperimentRequests
from nearcast_server.rpc.machineslates import MachineSlates
from nearcast_server.rpc.recommend import RecommendService
from nearcast_server.rpc.service import Services
from nearcast_server.rpc.stats import StatsService
from nearcast_server.serving import ServedTally
from nearcast_server.tenancy import Tenancies
from nearcast_server.watching import StatsWatch
from nearcast_store.counting.traffic import PostgresTraffic
from nearcast_store.decisions.postgres import PostgresDecisionStore
from nearcast_store.seen.redis import RedisSeenStore
from nearcast_store.served.postgres import PostgresServedStore
from nearcast_telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Known:
    """What the gateway knows of its tenants, who is told of it, and who finds and writes their items.

    `decisions` is told what was decided, `rehearsal` decides some of it again.
    """

    tenancies: Tenancies
    board: Noticeboard
    finder: Finder
    machine: MachineSlates
    decisions: DecisionLog
    rehearsal: Rehearsal

    async def run(self, stop: asyncio.Event) -> None:
        """What goes on beside the requests."""
        await asyncio.gather(self.decisions.run(stop), self.rehearsal.run(stop))


def services_of(
    config: ProcessConfig,
    stores: Stores,
    known: Known,
    metrics: Metrics,
    gate: Gate,
    served: ServedTally,
) -> Services:
    """Each takes what it needs, and no more."""
    clock, tenancies, finder = time.time, known.tenancies, known.finder
    reporter = Reporter(stores.counts, stores.catalog, PostgresServedStore(stores.pool), tenancies, clock)
    watch = StatsWatch(reporter, stores.counts, tenancies, known.board)
    recollection = Recollection(
        RedisSeenStore(stores.index),
        config.gateway.seen_cache_s,
        config.gateway.seen_cache_mib << 20,
        time.monotonic,
        metrics,
    )
    request_ids = RequestIds(lambda: time.time_ns() // 1_000_000, secrets.token_bytes)
    gateway_id = f"{socket.gethostname()}-{os.getpid()}"
    durability = Durability[config.log.durability.upper()]
    governor = Governor(stores.policies, stores.markets, PostgresTraffic(stores.pool))
    experimenter = Experimenter(governor, stores.policies, stores.experiments, clock)
    return Services(
        CatalogService(
            Cataloguer(stores.catalog, clock),
            MarketKeeper(stores.markets, clock),
            ListPages(tenancies),
            ListPages(tenancies, MARKETS),
        ),
        RecommendService(
            Recommender(
                finder,
                tenancies,
                clock,
                Decider(request_ids, secrets.token_bytes),
                Recall(recollection),
                known.decisions,
                known.rehearsal,
            ),
            Lister(finder, tenancies, clock),
            clock,
            metrics,
            served,
            Appraiser(stores.catalog),
            known.machine,
        ),
        EventService(
            Recorder(NotingLog(stores.events, recollection), tenancies, clock, gateway_id, durability),
            metrics,
            gate,
            config.gateway.stream_window,
        ),
        StatsService(reporter, watch, config.gateway.watch_heartbeat_s),
        AdminService(governor, ListPages(tenancies, POLICIES), _teller(config, stores)),
        ExperimentRequests(experimenter, Comparer(governor, experimenter, stores.experiments, clock)),
    )


def _teller(config: ProcessConfig, stores: Stores) -> Teller:
    decisions, keep_days = PostgresDecisionStore(stores.pool), config.keeper.decision_keep_days
    return Teller(decisions, stores.catalog, stores.policies, keep_days, time.time)

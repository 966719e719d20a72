"""Which RPC is answered by what, and by whom it may be called."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import grpc
from google.protobuf.message import Message

from nearcast.v1 import admin_pb2, catalog_pb2, event_pb2, recommend_pb2, stats_pb2
from nearcast_server.rpc.admin import AdminService
from nearcast_server.rpc.catalog import CatalogService
from nearcast_server.rpc.endpoint import Endpoint, Handle, Method
from nearcast_server.rpc.event import EventService
from nearcast_server.rpc.experiments import ExperimentRequests
from nearcast_server.rpc.recommend import RecommendService
from nearcast_server.rpc.stats import StatsService
from nearcast_server.rpc.streaming import StreamEndpoint, StreamMethod
from nearcast_store.tenants.protocol import Role
from nearcast_telemetry.streammetrics import SERVER_WATCHERS_OPEN

EVERYONE: frozenset[Role] = frozenset(("client", "backend", "operator"))
BACKENDS: frozenset[Role] = frozenset(("backend", "operator"))
OPERATORS: frozenset[Role] = frozenset(("operator",))


@dataclass(frozen=True, slots=True)
class Services:
    """Every handler."""

    catalog: CatalogService
    recommend: RecommendService
    event: EventService
    stats: StatsService
    admin: AdminService
    experiments: ExperimentRequests


def methods(services: Services) -> dict[str, list[Method | StreamMethod]]:
    """Every RPC of every service, by the service's full name."""
    catalog, recommend, event, stats = services.catalog, services.recommend, services.event, services.stats
    return {
        _name(catalog_pb2, "CatalogService"): [
            _method(catalog_pb2.UpsertItemsRequest, BACKENDS, catalog.UpsertItems),
            _method(catalog_pb2.DeleteItemsRequest, BACKENDS, catalog.DeleteItems),
            _method(catalog_pb2.GetItemRequest, BACKENDS, catalog.GetItem),
            _method(catalog_pb2.ListItemsRequest, BACKENDS, catalog.ListItems),
            _method(catalog_pb2.UpsertMarketsRequest, BACKENDS, catalog.UpsertMarkets),
            _method(catalog_pb2.DeleteMarketsRequest, BACKENDS, catalog.DeleteMarkets),
            _method(catalog_pb2.ListMarketsRequest, BACKENDS, catalog.ListMarkets),
        ],
        _name(recommend_pb2, "RecommendService"): [
            _method(recommend_pb2.NearbyRequest, EVERYONE, recommend.Nearby),
            _method(recommend_pb2.RecommendRequest, EVERYONE, recommend.Recommend),
        ],
        _name(event_pb2, "EventService"): [
            _method(event_pb2.RecordEventsRequest, EVERYONE, event.RecordEvents),
            StreamMethod("StreamEvents", event_pb2.StreamEventsRequest, EVERYONE, event.StreamEvents),
        ],
        _name(stats_pb2, "StatsService"): [
            _method(stats_pb2.GetStatsRequest, BACKENDS, stats.GetStats),
            StreamMethod(
                "WatchStats", stats_pb2.WatchStatsRequest, BACKENDS, stats.WatchStats, SERVER_WATCHERS_OPEN
            ),
        ],
        _name(admin_pb2, "AdminService"): [
            _method(admin_pb2.ValidatePolicyRequest, OPERATORS, services.admin.ValidatePolicy),
            _method(admin_pb2.ApplyPolicyRequest, OPERATORS, services.admin.ApplyPolicy),
            _method(admin_pb2.RollbackPolicyRequest, OPERATORS, services.admin.RollbackPolicy),
            _method(admin_pb2.GetPolicyRequest, OPERATORS, services.admin.GetPolicy),
            _method(admin_pb2.ListPolicyRevisionsRequest, OPERATORS, services.admin.ListPolicyRevisions),
            _method(admin_pb2.FreezeRequest, OPERATORS, services.admin.Freeze),
            _method(admin_pb2.UnfreezeRequest, OPERATORS, services.admin.Unfreeze),
            _method(admin_pb2.ExplainDecisionRequest, OPERATORS, services.admin.ExplainDecision),
            _method(admin_pb2.StartExperimentRequest, OPERATORS, services.experiments.StartExperiment),
            _method(admin_pb2.StopExperimentRequest, OPERATORS, services.experiments.StopExperiment),
            _method(admin_pb2.GetExperimentRequest, OPERATORS, services.experiments.GetExperiment),
            _method(admin_pb2.ListExperimentsRequest, OPERATORS, services.experiments.ListExperiments),
        ],
    }


def generic_handlers(
    by_service: Mapping[str, Sequence[Method | StreamMethod]],
    wrap: Callable[[Method | StreamMethod], Endpoint | StreamEndpoint],
) -> list[grpc.GenericRpcHandler]:
    """What gRPC calls: no serialisers, so that bytes come and go as they are."""
    return [
        grpc.method_handlers_generic_handler(
            service, {method.name: wrap(method).handler() for method in listed}
        )
        for service, listed in by_service.items()
    ]


def _method(request_type: type[Message], roles: frozenset[Role], handle: Handle) -> Method:
    return Method(handle.__name__, request_type, roles, handle)


def _name(module: object, service: str) -> str:
    return str(module.DESCRIPTOR.services_by_name[service].full_name)  # type: ignore[attr-defined]

"""What the gateway says of itself: reflection, health, addresses."""

import msgspec
import pytest
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection_pb2_grpc import ServerReflectionStub

from tests.gateways import SERVICES, Gateway, running_gateway

NAMES = {service.full_name for service in SERVICES}
SERVING = health_pb2.HealthCheckResponse.SERVING


async def listed(gateway: Gateway) -> set[str]:
    stub = ServerReflectionStub(gateway.channel)
    call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(list_services="")]))
    async for answer in call:
        return {service.name for service in answer.list_services_response.service}
    return set()


async def test_reflection_lists_every_service_and_knows_its_messages(gateway: Gateway) -> None:
    assert await listed(gateway) == NAMES | {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    }
    stub = ServerReflectionStub(gateway.channel)
    asked = reflection_pb2.ServerReflectionRequest(file_containing_symbol="nearcast.v1.RecommendService")
    async for answer in stub.ServerReflectionInfo(iter([asked])):
        assert answer.file_descriptor_response.file_descriptor_proto


async def test_reflection_is_off_unless_asked_for(gateway: Gateway) -> None:
    config = msgspec.structs.replace(
        gateway.config, gateway=msgspec.structs.replace(gateway.config.gateway, reflection=False)
    )
    async with running_gateway(config) as silent:
        import grpc

        with pytest.raises(grpc.aio.AioRpcError, match="UNIMPLEMENTED"):
            await listed(silent)


@pytest.mark.parametrize("service", ["", *sorted(NAMES)])
async def test_health_is_told_for_the_process_and_for_each_service(gateway: Gateway, service: str) -> None:
    answer = await HealthStub(gateway.channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == SERVING


async def test_two_gateways_serve_the_same_tenants_on_ports_of_their_own(gateway: Gateway) -> None:
    async with running_gateway(gateway.config) as twin:
        assert twin.address != gateway.address
        assert await listed(twin) == await listed(gateway)

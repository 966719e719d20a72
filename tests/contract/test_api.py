"""Every RPC of the contract is served, and stands on the page of the API."""

from nearcast.v1 import admin_pb2, catalog_pb2, event_pb2, recommend_pb2, stats_pb2
from tests.contract import apipage
from tests.contract.protofiles import everything

MODULES = (admin_pb2, catalog_pb2, event_pb2, recommend_pb2, stats_pb2)
RPCS = [
    f"{service.name}.{rpc.name}"
    for module in MODULES
    for service in module.DESCRIPTOR.services_by_name.values()
    for rpc in service.methods
]


def test_the_page_is_the_generated_one() -> None:
    assert apipage.PAGE.read_text(encoding="utf-8") == apipage.page(), (
        "run: python -m tests.contract.apipage > docs/reference/api.md"
    )


def test_every_rpc_is_served_to_somebody() -> None:
    assert sorted(apipage.roles()) == sorted(RPCS)
    assert all("`operator`" in roles for roles in apipage.roles().values())


def test_every_rpc_and_field_stands_on_the_page() -> None:
    page = apipage.PAGE.read_text(encoding="utf-8")
    for rpc in RPCS:
        assert f"\n### {rpc}\n" in page
    for module in MODULES:
        for message in module.DESCRIPTOR.message_types_by_name.values():
            for field in message.fields:
                assert f"| `{field.name}` |" in page, f"{message.name}.{field.name}"


def test_everything_in_the_contract_says_what_it_is() -> None:
    silent = [f"{one.parent}.{one.name}" for one in everything() if not one.comment and one.kind != "oneof"]
    assert not silent


def test_the_page_is_read_from_everything_that_the_contract_holds() -> None:
    """The reader of .proto files and the compiled contract see the same."""
    read = {(one.parent, one.name) for one in everything() if one.kind == "field"}
    compiled = {
        (message.name, field.name)
        for module in MODULES
        for message in module.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if not message.GetOptions().map_entry
    }
    assert compiled <= read

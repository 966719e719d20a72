"""The page of the API: every RPC with its promise, roles and fields, in the words of the contract.

`python -m tests.contract.apipage > docs/reference/api.md`
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nearcast_server.rpc.admin import AdminService
from nearcast_server.rpc.catalog import CatalogService
from nearcast_server.rpc.event import EventService
from nearcast_server.rpc.experiments import ExperimentRequests
from nearcast_server.rpc.recommend import RecommendService
from nearcast_server.rpc.service import Services, methods
from nearcast_server.rpc.stats import StatsService
from tests.contract.protofiles import Said, everything

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "api.md"
NOBODY: Any = None

PREFACE = """\
# API

gRPC, package `nearcast.v1`; the contract is `protos/nearcast/v1/`, one service per file. Every call carries
metadata `authorization: Bearer <key>`; the key decides tenant and role. A request may have 1 MiB
(`gateway.max_message_bytes`). A call without a deadline is given 5 s (`gateway.default_deadline_s`), a longer
one is cut to 30 s (`gateway.max_deadline_s`). Unknown fields are passed over. Any call may be refused with
`MISSING_CREDENTIALS`, `INVALID_API_KEY`, `INSUFFICIENT_SCOPE`, `MALFORMED_MESSAGE`, `DEADLINE_EXCEEDED` or
`SERVER_NOT_READY`; the [errors](errors.md) say what to do. Besides these services the server answers
`grpc.health.v1.Health`, by the full name of each service, and reflection where `gateway.reflection` is on.

Generated: `python -m tests.contract.apipage`.
"""


def roles() -> dict[str, str]:
    """Who may call each RPC."""
    services = Services(
        CatalogService(NOBODY, NOBODY, NOBODY, NOBODY),
        RecommendService(NOBODY, NOBODY, NOBODY, NOBODY, NOBODY, NOBODY),
        EventService(NOBODY, NOBODY, NOBODY),
        StatsService(NOBODY, NOBODY, NOBODY),
        AdminService(NOBODY, NOBODY, NOBODY),
        ExperimentRequests(NOBODY, NOBODY),
    )
    order = ("client", "backend", "operator")
    return {
        f"{service.rpartition('.')[2]}.{method.name}": ", ".join(
            f"`{role}`" for role in order if role in method.roles
        )
        for service, listed in methods(services).items()
        for method in listed
    }


def page() -> str:
    """The reference page, in Markdown."""
    declared = everything()
    return PREFACE + "\n".join([*_rpcs(declared), *_types(declared), ""])


def _rpcs(declared: list[Said]) -> Iterator[str]:
    allowed = roles()
    for service in (one for one in declared if one.kind == "service"):
        yield f"\n## {service.name}\n\n{service.comment}"
        for rpc in (one for one in declared if one.kind == "rpc" and one.parent == service.name):
            yield f"\n### {service.name}.{rpc.name}\n"
            yield from (f"{paragraph}\n" for paragraph in rpc.comment.split("\n"))
            yield f"Roles: {allowed[f'{service.name}.{rpc.name}']}."
            for message in rpc.type.split():
                yield from _fields(declared, message)


def _types(declared: list[Said]) -> Iterator[str]:
    """Messages and enums that several calls share."""
    ends = {message for one in declared if one.kind == "rpc" for message in one.type.split()}
    yield "\n## Types"
    for one in declared:
        if one.kind in {"message", "enum"} and one.name not in ends | {"ErrorReason"}:
            yield f"\n### {one.name}\n\n{one.comment.replace(chr(10), ' ')}"
            yield from _fields(declared, one.name, titled=False)


def _fields(declared: list[Said], parent: str, *, titled: bool = True) -> Iterator[str]:
    fields = [one for one in declared if one.parent == parent and one.kind in {"field", "value"}]
    if titled:
        yield f"\n`{parent}`"
    if not fields:
        return
    named = "Field" if fields[0].kind == "field" else "Value"
    yield f"\n| {named} | {'Type' if named == 'Field' else 'Number'} | Meaning |\n|---|---|---|"
    for one in fields:
        yield f"| `{one.name}` | {one.type} | {one.comment.replace(chr(10), ' ')} |"


if __name__ == "__main__":
    sys.stdout.write(page())

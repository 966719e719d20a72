"""--tenant, for commands on one tenant's world."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

DEV_TENANT = "dev"


def tenant_option(command: Decorated) -> Decorated:
    """The tenant that `nearcast up` makes, unless another is named."""
    return click.option("--tenant", default=DEV_TENANT, show_default=True, metavar="SLUG", help="Whose.")(
        command
    )


def any_tenant_option(command: Decorated) -> Decorated:
    """One tenant, or all of them when none is named."""
    return click.option("--tenant", metavar="SLUG", help="Only this tenant; all of them unless named.")(
        command
    )

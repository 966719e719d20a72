"""A settings file's [policy]: the first revision of a tenant that has none, afterwards only compared."""

import shlex
from pathlib import Path

from nearcast_cli.checkout import command_name
from nearcast_cli.finding import DEFAULT_STATE
from nearcast_cli.operating import Records
from nearcast_cli.tenant import DEV_TENANT
from nearcast_config.policy import Policy
from nearcast_store.errors import StoreError, StoreUnavailableError
from nearcast_telemetry.logs import logger

log = logger("cli")


async def warn_of_others(records: Records, policy: Policy, file: Path) -> None:
    """Log each tenant that has another policy in force; one that had none has the file's from here on."""
    for tenant_id, tenant in await records.tenants.tenants():
        try:
            revision = await records.policies.current(tenant_id)
        except StoreUnavailableError:
            raise
        except StoreError as error:  # of one tenant, and no reason to leave the others unserved
            log.warning("policy.not_compared", tenant=tenant, reason=error)
            continue
        if revision.policy != policy:
            log.warning(
                "policy.file_not_in_force",
                tenant=tenant,
                revision=revision.number,
                advice=f"to apply it: {apply_command(file, tenant=tenant)}",
            )


def apply_command(file: Path, *, tenant: str = DEV_TENANT, state: Path = DEFAULT_STATE) -> str:
    """What to type so that the file's policy comes into force."""
    words = ["policy", "apply", str(file)]
    words += [] if tenant == DEV_TENANT else ["--tenant", tenant]
    words += [] if state == DEFAULT_STATE else ["--state", str(state)]
    return f"{command_name()} {shlex.join(words)}"

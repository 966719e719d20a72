"""Before anybody moves in: the schema, the tenant, its key, and a policy to play with."""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec
from redis.exceptions import RedisError

from nearcast_cli.embedded import Endpoints, StateDirectory
from nearcast_cli.failure import CommandFailedError
from nearcast_cli.operating import Records, open_records
from nearcast_cli.tenant import DEV_TENANT
from nearcast_config.policy import Policy
from nearcast_config.policytext import default_policy
from nearcast_store.migration import migrate
from nearcast_store.policies.protocol import Revision
from nearcast_store.redis_client import open_client
from nearcast_telemetry.logs import redact

KEY_NAME = "dev.key"
EPOCH_MINUTES = 1.0


def playground_policy() -> Policy:
    """The default policy, with feeds that are weighed anew every minute, so that one can watch."""
    policy = default_policy()
    master = msgspec.structs.replace(policy.master, epoch_minutes=EPOCH_MINUTES)
    return msgspec.structs.replace(policy, master=master)


@dataclass(frozen=True, slots=True)
class Furnished:
    """The key of the tenant, and the policy it has in force."""

    api_key: str
    revision: Revision


async def furnish(endpoints: Endpoints, state: StateDirectory, policy: Policy | None) -> Furnished:
    """Make what is missing; the policy is that of a tenant which has none."""
    await _check_redis(endpoints.redis_url)
    await migrate(endpoints.postgres_dsn)
    async with open_records(endpoints.postgres_dsn, policy or playground_policy()) as records:
        tenant_id = await records.tenants.ensure_tenant(DEV_TENANT, "Development")
        key = await _key(records, tenant_id, state.path / KEY_NAME)
        return Furnished(key, await records.policies.current(tenant_id))


async def _check_redis(url: str) -> None:
    client = open_client(url)
    try:
        await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        raise CommandFailedError(
            f"Redis at {redact(url)} does not answer: {redact(str(error))}",
            reason="REDIS_UNAVAILABLE",
            field="redis.geo_url",
            advice="Check --redis-url, or leave it out to use the embedded one.",
        ) from error
    finally:
        await client.aclose()


async def _key(records: Records, tenant_id: int, path: Path) -> str:
    """The key of the last start if it is still good, else a new one, kept for the next start."""
    kept = _read(path)
    if kept:
        caller = await records.tenants.caller(kept)
        if caller is not None and caller.tenant_id == tenant_id and caller.role == "operator":
            return kept
    key, _ = await records.tenants.create_key(tenant_id, "operator", "nearcast up", None)
    _write(path, key)
    return key


def _read(path: Path) -> str:
    return path.read_text("utf-8").strip() if path.is_file() else ""


def _write(path: Path, key: str) -> None:
    """For its owner only."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(f"{key}\n")
    draft.replace(path)

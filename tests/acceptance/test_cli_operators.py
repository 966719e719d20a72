"""What an operator does beside the running processes: schema, keys, policies, index."""

import json
from pathlib import Path

import msgspec
import pytest

from nearcast_cli.embedded import Endpoints, StateDirectory
from nearcast_cli.house.furnishing import furnish, playground_policy
from nearcast_cli.operating import open_records
from nearcast_config.policytext import default_policy
from tests.acceptance.running import answer, nearcast


def test_migrate_says_what_it_applied_and_then_has_nothing_to_do(empty_database: str) -> None:
    checked = nearcast("migrate", "--check", "--postgres-dsn", empty_database)
    assert checked.returncode == 1
    assert "pending 0001_pre_" in checked.stdout
    applied = answer("migrate", "--postgres-dsn", empty_database)["applied"]
    assert applied
    assert answer("migrate", "--check", "--postgres-dsn", empty_database) == {"pending": []}


def test_a_process_on_an_empty_database_says_which_command_to_run(
    empty_database: str, redis_url: str
) -> None:
    done = nearcast("serve", "--postgres-dsn", empty_database, "--redis-url", redis_url)
    assert done.returncode == 1
    assert "nearcast migrate" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_key_is_shown_once_listed_without_itself_and_revoked(database: str) -> None:
    where = ("--tenant", "shop", "--postgres-dsn", database)
    made = answer("keys", "create", "--role", "backend", "--label", "phones", *where)
    assert made["key"].startswith(made["prefix"])
    listed = nearcast("keys", "list", *where)
    assert "phones" in listed.stdout
    assert made["key"] not in listed.stdout
    assert answer("keys", "revoke", str(made["keyId"]), *where) == {"revoked": made["keyId"]}
    assert answer("keys", "list", *where)["keys"][0]["revokedAt"] is not None
    missing = nearcast("keys", "revoke", "999", *where, "--json")
    assert (missing.returncode, json.loads(missing.stderr)["reason"]) == (1, "KEY_UNKNOWN")


def test_a_rotated_signing_key_leaves_the_one_before_verifying(database: str) -> None:
    where = ("--tenant", "shop", "--postgres-dsn", database)
    answer("keys", "create", *where)
    first = answer("keys", "rotate-signing", *where)
    second = answer("keys", "rotate-signing", *where)
    assert second["made"] not in first["verify"]
    assert {first["made"], first["signs"], second["made"], second["signs"]} <= set(second["verify"])


def test_a_policy_is_applied_shown_and_applied_again_without_effect(database: str, tmp_path: Path) -> None:
    where = ("--tenant", "shop", "--postgres-dsn", database)
    answer("keys", "create", *where)
    file = tmp_path / "policy.toml"
    file.write_text("[policy.exploration]\nshare = 0.1\n")
    revision = answer("policy", "apply", file, *where)["revision"]
    assert answer("policy", "show", *where)["policy"]["exploration"]["share"] == 0.1
    shown = tmp_path / "shown.toml"
    shown.write_text(nearcast("policy", "show", *where).stdout)
    assert answer("policy", "apply", shown, *where)["revision"] == revision
    file.write_text("[policy.exploration]\nshare = 3\n")
    refused = nearcast("policy", "apply", file, *where)
    assert refused.returncode == 1
    assert "policy.exploration.share" in refused.stderr


def test_an_unknown_tenant_is_told_with_the_known_ones(database: str) -> None:
    answer("keys", "create", "--tenant", "shop", "--postgres-dsn", database)
    done = nearcast("keys", "list", "--tenant", "shpo", "--postgres-dsn", database)
    assert done.returncode == 1
    assert "known: shop" in done.stderr
    misspelt = nearcast("keys", "create", "--tenant", "My Shop", "--postgres-dsn", database)
    assert misspelt.returncode == 2


def test_rebuild_names_each_tenant(database: str, redis_url: str) -> None:
    answer("keys", "create", "--tenant", "shop", "--postgres-dsn", database)
    where = ("--postgres-dsn", database, "--redis-url", redis_url)
    assert answer("rebuild", "redis", *where) == {"rebuilt": ["shop"]}
    nowhere = nearcast("rebuild", "redis", "--postgres-dsn", database, "--redis-url", "redis://127.0.0.1:1/0")
    assert nowhere.returncode == 1
    assert "Traceback" not in nowhere.stderr


@pytest.fixture
def endpoints(database: str, redis_url: str) -> Endpoints:
    return Endpoints(database, redis_url)


async def test_the_key_of_the_last_start_is_used_again_while_it_is_good(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    state = StateDirectory(tmp_path)
    key = (await furnish(endpoints, state, None)).api_key
    assert (tmp_path / "dev.key").stat().st_mode & 0o777 == 0o600
    assert (await furnish(endpoints, state, None)).api_key == key
    async with open_records(endpoints.postgres_dsn) as records:
        caller = await records.tenants.caller(key)
        assert caller is not None
        assert (caller.tenant, caller.role) == ("dev", "operator")
        await records.tenants.revoke_key(caller.tenant_id, caller.key_id)
    assert (await furnish(endpoints, state, None)).api_key != key


async def test_the_playground_policy_never_replaces_what_somebody_applied(
    endpoints: Endpoints, tmp_path: Path
) -> None:
    state = StateDirectory(tmp_path)
    await furnish(endpoints, state, None)
    async with open_records(endpoints.postgres_dsn) as records:
        tenant_id = await records.tenant_id("dev")
        first = await records.policies.current(tenant_id)
        assert (first.number, first.policy) == (1, playground_policy())
        await records.policies.apply(tenant_id, default_policy(), "someone", "")
        await furnish(endpoints, state, None)
        assert (await records.policies.current(tenant_id)).policy == default_policy()


async def test_the_policy_of_the_file_is_the_first_one(endpoints: Endpoints, tmp_path: Path) -> None:
    policy = default_policy()
    own = msgspec.structs.replace(policy, exploration=msgspec.structs.replace(policy.exploration, share=0.3))
    revision = (await furnish(endpoints, StateDirectory(tmp_path), own)).revision
    assert (revision.number, revision.policy) == (1, own)
    assert (await furnish(endpoints, StateDirectory(tmp_path), policy)).revision == revision


def test_a_policy_is_checked_compared_applied_and_taken_back(database: str, tmp_path: Path) -> None:
    where = ("--tenant", "shop", "--postgres-dsn", database)
    answer("keys", "create", *where)
    file = tmp_path / "policy.toml"
    file.write_text("[policy.radius]\ndefault_m = 900\n[policy.exploration]\nshare = 0\n")
    checked = answer("policy", "check", file)
    assert (checked["problems"], [each["key"] for each in checked["warnings"]]) == (
        [],
        ["policy.exploration.share"],
    )
    assert answer("policy", "diff", file, *where)["changes"] == [
        {"key": "policy.exploration.share", "before": "0.02", "after": "0.0"},
        {"key": "policy.radius.default_m", "before": "5000.0", "after": "900.0"},
    ]
    asked = ("policy", "apply", file, "--note", "narrower", "--expect", "1", "--request-id", "r-1", *where)
    assert [(made["revision"], made["changed"]) for made in (answer(*asked), answer(*asked))] == [
        (2, True),
        (2, False),
    ]
    told = nearcast("policy", "rollback", "2", *where).stdout
    assert told == "Nothing was changed: revision 2 of shop is in force, and says so already.\n"
    stale = nearcast("policy", "rollback", "1", "--expect", "1", *where, "--json")
    assert stale.returncode == 1
    refused = json.loads(stale.stderr)
    assert (refused["reason"], refused["field"]) == ("POLICY_CHANGED", "expected_revision")
    assert nearcast("policy", "rollback", "1", "--expect", "1", *where).stderr.startswith(
        "nearcast: --expect: revision 2 is in force, not 1"
    )
    assert answer("policy", "rollback", "1", *where)["revision"] == 3
    again = nearcast(*asked).stdout
    assert again.startswith(
        "Nothing was changed: this call made revision 2 of shop before, and revision 3 is"
    )
    listed = answer("policy", "revisions", *where)["revisions"]
    assert [(each["revision"], each["note"]) for each in listed] == [
        (3, "rollback to revision 1"),
        (2, "narrower"),
        (1, ""),
    ]
    assert listed[0]["etag"] == listed[2]["etag"]
    assert [each["inForce"] for each in listed] == [True, False, False]
    table = nearcast("policy", "revisions", *where).stdout.splitlines()
    assert [line.rstrip().endswith("in force") for line in table] == [False, True, False, False]
    assert "no revision of shop before 1" in nearcast("policy", "revisions", "--below", "1", *where).stdout
    assert answer("policy", "show", "--revision", "2", *where)["policy"]["radius"]["default_m"] == 900


def test_a_policy_that_cannot_be_applied_is_told_with_every_key_and_range(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text("[policy.radius]\ndefault_m = -1\n[policy.slate]\nmax_limit = 0\n")
    checked = nearcast("policy", "check", file, "--json")
    assert checked.returncode == 1
    assert [(each["key"], each["allowed"]) for each in json.loads(checked.stdout)["problems"]] == [
        ("policy.radius.default_m", "a number in (0, 500000] metres"),
        ("policy.slate.max_limit", "a whole number in [1, 200]"),
    ]


def test_freezing_is_a_revision_that_can_be_lifted(database: str) -> None:
    where = ("--tenant", "shop", "--postgres-dsn", database)
    answer("keys", "create", *where)
    assert answer("policy", "freeze", *where)["revision"] == 2
    assert answer("policy", "show", *where)["policy"]["master"]["frozen"] is True
    assert answer("policy", "unfreeze", *where)["revision"] == 3
    frozen = nearcast("policy", "freeze", *where)
    assert (frozen.returncode, frozen.stderr) == (0, "")
    assert "Frozen everywhere: every request gets the default feed" in frozen.stdout
    assert "Not frozen, but for markets" in nearcast("policy", "unfreeze", *where).stdout
    unknown = nearcast("policy", "freeze", "olso", *where, "--json")
    refused = json.loads(unknown.stderr)
    assert (refused["reason"], refused["field"]) == ("MARKET_UNKNOWN", "market")
    assert nearcast("policy", "unfreeze", "olso", *where).returncode == 1
    assert answer("policy", "show", *where)["revision"] == 5

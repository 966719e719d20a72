"""Defaults, file, variables and flags: which one wins, and what is said when one is wrong."""

from operator import attrgetter
from pathlib import Path

import pytest
from msgspec import inspect

from nearcast_config.checking import admits
from nearcast_config.declaration import Setting, settings_of
from nearcast_config.environment import variable_of
from nearcast_config.loading import load_file, load_process, read_file
from nearcast_config.problems import SettingsError
from nearcast_config.process import ProcessConfig

CANARY = "hunter2canary"
SOURCE = "[keeper.source]\ndsn = 'postgresql://db/app'\n"
ACTS = f"{SOURCE}tenant = 'dev'\ntable = 'acts'\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "nearcast.toml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(path: Path | None, environment: dict[str, str], overrides: dict[str, object]) -> dict[str, str]:
    with pytest.raises(SettingsError) as caught:
        load_file(path, environment, overrides)
    return {problem.key: problem.message for problem in caught.value.problems}


def test_nothing_given_gives_the_defaults() -> None:
    assert load_process(None, {}) == ProcessConfig()
    assert load_file(None, {}).policy is None


def test_flag_beats_variable_beats_file_beats_default(tmp_path: Path) -> None:
    path = written(tmp_path, "[gateway]\ngrpc_port = 1\nhttp_port = 1\nmetrics_port = 1\n")
    environment = {"NEARCAST_GATEWAY__GRPC_PORT": "2", "NEARCAST_GATEWAY__HTTP_PORT": "2"}
    gateway = load_process(path, environment, {"gateway.grpc_port": 3, "gateway.http_port": None}).gateway
    assert (gateway.grpc_port, gateway.http_port, gateway.metrics_port) == (3, 2, 1)
    assert gateway.host == "127.0.0.1"


def other_value(setting: Setting) -> tuple[str, object]:
    """A text that is not the default, and what it must be read as."""
    match setting.type:
        case inspect.BoolType():
            return ("no", False) if setting.default else ("yes", True)
        case inspect.IntType() | inspect.FloatType() as number:
            value = next(
                value for value in (7, 9, 70000, 0.8) if admits(number, value) and value != setting.default
            )
            return str(value), value
        case inspect.LiteralType() as choice:
            other = next(str(value) for value in choice.values if value != setting.default)
            return other, other
        case _:
            return "elsewhere", "elsewhere"


COMPANIONS = {
    "keeper.source.dsn": {"NEARCAST_KEEPER__SOURCE__TENANT": "dev", "NEARCAST_KEEPER__SOURCE__TABLE": "acts"},
    "gateway.recycle_after_calls": {"NEARCAST_GATEWAY__WORKERS": "2"},
    "gateway.recycle_rss_mib": {"NEARCAST_GATEWAY__WORKERS": "2"},
}


@pytest.mark.parametrize("setting", list(settings_of(ProcessConfig)), ids=lambda setting: setting.key)
def test_every_key_is_set_by_its_variable(setting: Setting) -> None:
    text, value = other_value(setting)
    assert value != setting.default
    process = load_process(None, {variable_of(setting.key): text, **COMPANIONS.get(setting.key, {})})
    assert attrgetter(setting.key)(process) == value


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        ("[gateway]\ngrpc_prot = 1", "gateway.grpc_prot", "did you mean gateway.grpc_port?"),
        ("[gatway]\ngrpc_port = 1", "gatway", "did you mean gateway?"),
        ("grpc_port = 1", "grpc_port", "did you mean gateway.grpc_port?"),
        ('[gateway]\ndsn = "x"', "gateway.dsn", "did you mean postgres.dsn?"),
        ("[radius]\ndefault_m = 5", "radius", "did you mean policy.radius?"),
        ("[log]\nqqq = 1", "log.qqq", "known here: log.durability, log.shards"),
        ("[gateway]\ngrpc_port = 70000", "gateway.grpc_port", "a whole number in [0, 65535], got 70000"),
        ("[gateway]\ngrpc_port = 1.5", "gateway.grpc_port", "a whole number in [0, 65535], got 1.5"),
        ("[gateway]\ngrpc_port = true", "gateway.grpc_port", "a whole number in [0, 65535], got true"),
        ('[gateway]\nreflection = "on"', "gateway.reflection", "true or false, got 'on'"),
        ("[gateway]\nmax_deadline_s = nan", "gateway.max_deadline_s", "in (0, 600] seconds, got nan"),
        ("[gateway]\nmax_deadline_s = inf", "gateway.max_deadline_s", "in (0, 600] seconds, got inf"),
        (f"[gateway]\nmax_deadline_s = 1{'0' * 400}", "gateway.max_deadline_s", "a very large whole number"),
        ("[gateway]\ngrpc_port = 1979-05-27", "gateway.grpc_port", "a whole number in [0, 65535]"),
        ('[gateway]\nhost = ""', "gateway.host", "text of 1 or more characters"),
        ('[gateway]\nhost = "a\\u0000b"', "gateway.host", "text"),
        ("gateway = 5", "gateway", "a table, got a number"),
        ('[log]\ndurability = "always"', "log.durability", 'one of "everysec", "fsync", "memory"'),
        (
            "[gateway]\ndefault_deadline_s = 40",
            "gateway.default_deadline_s",
            "max_deadline_s (30.0), got 40.0",
        ),
        ("[gateway]\nmetrics_port = 50051", "gateway.metrics_port", "must differ from gateway.grpc_port"),
        (
            "[admission]\nnarrow_append_s = 10",
            "admission.narrow_append_s",
            "below admission.close_append_s (10.0)",
        ),
        (f"{SOURCE}table = 'a'", "keeper.source.tenant", "must name a tenant"),
        (f"{SOURCE}tenant = 'dev'", "keeper.source.table", "keeper.source.query, and not both; got neither"),
        (f"{SOURCE}tenant = 'dev'\ntable = 'a'\nquery = 'b'", "keeper.source.table", "not both; got both"),
        (
            f"{ACTS}kinds = 'shown impression'",
            "keeper.source.kinds",
            "must be word=kind, got shown impression",
        ),
        (f"{ACTS}kinds = 'a=view,a=save'", "keeper.source.kinds", "must name each word once, got a again"),
        (f"{ACTS}name = 'Acts'", "keeper.source.name", "text of the form [a-z][a-z0-9_-]{0,31}, got 'Acts'"),
        (f"{ACTS}overlap_s = -1", "keeper.source.overlap_s", "a number in [0, 86400] seconds, got -1"),
        (f"{ACTS}[keeper.source.columns]\ntime = ''", "keeper.source.columns.time", "text of 1 or more"),
        (
            f"{ACTS}[keeper.source.columns]\nitm = 'x'",
            "keeper.source.columns.itm",
            "did you mean keeper.source.columns",
        ),
        ("[keeper]\nsource = 5", "keeper.source", "a table, got a number"),
        ("[policy.radius]\nmax_m = 0", "policy.radius.max_m", "a number in (0, 500000] metres, got 0"),
        ("policy = 5", "policy", "a table, got a number"),
    ],
)
def test_a_bad_file_is_refused_with_key_and_range(tmp_path: Path, text: str, key: str, message: str) -> None:
    found = faults(written(tmp_path, text), {}, {})
    assert list(found) == [key]
    assert message in found[key]


@pytest.mark.parametrize(
    ("name", "value", "key", "message"),
    [
        ("NEARCAST_GATEWAY__GRPC_PRT", "1", "", "did you mean NEARCAST_GATEWAY__GRPC_PORT?"),
        ("NEARCAST_GRPC_PORT", "1", "", "did you mean NEARCAST_GATEWAY__GRPC_PORT?"),
        ("NEARCAST_POSTGRES_DSN", "x", "", "did you mean NEARCAST_POSTGRES__DSN?"),
        ("NEARCAST_ADRESS", "x", "", "did you mean NEARCAST_ADDRESS?"),
        ("NEARCAST_POLICY__RADIUS__MAX_M", "1", "", "a policy is set by a file"),
        ("NEARCAST_GATEWAY__GRPC_PORT", "many", "gateway.grpc_port", "[0, 65535], got 'many'"),
        ("NEARCAST_GATEWAY__GRPC_PORT", "", "gateway.grpc_port", "[0, 65535], got ''"),
        ("NEARCAST_GATEWAY__REFLECTION", "maybe", "gateway.reflection", "true or false, got 'maybe'"),
        ("NEARCAST_GATEWAY__MAX_DEADLINE_S", "nan", "gateway.max_deadline_s", "(0, 600] seconds, got nan"),
    ],
)
def test_a_bad_variable_is_refused(name: str, value: str, key: str, message: str) -> None:
    found = faults(None, {name: value}, {})
    assert list(found) == [key or name]
    assert message in found[key or name]


def test_a_fault_names_where_it_was_found(tmp_path: Path) -> None:
    path = written(tmp_path, "[gateway]\ngrpc_port = -1\n[policy.slate]\nmax_limit = 0\n")
    environment = {"NEARCAST_GATEWAY__HTTP_PORT": "-1"}
    with pytest.raises(SettingsError) as caught:
        load_file(path, environment, {"gateway.metrics_port": -1})
    assert {problem.key: problem.source for problem in caught.value.problems} == {
        "gateway.grpc_port": str(path),
        "gateway.http_port": "NEARCAST_GATEWAY__HTTP_PORT",
        "gateway.metrics_port": "flag",
        "policy.slate.max_limit": str(path),
    }


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    text = """
    surprise = 1
    [gateway]
    grpc_port = -1
    colour = "red"
    [policy.kinds.view]
    prior_mean = 2
    [policy.radius]
    widen_factors = [2, "far", 0.5]
    """
    found = faults(written(tmp_path, text), {"NEARCAST_NONSENSE": "1"}, {"keeper.batch_events": 0})
    assert set(found) == {
        "surprise",
        "gateway.grpc_port",
        "gateway.colour",
        "policy.kinds.view.prior_mean",
        "policy.radius.widen_factors[1]",
        "policy.radius.widen_factors[2]",
        "NEARCAST_NONSENSE",
        "keeper.batch_events",
    }


def test_variables_of_others_are_left_alone() -> None:
    environment = {
        "NEARCAST_ADDRESS": "localhost:1",
        "NEARCAST_API_KEY": "k",
        "NEARCAST_TEST_POSTGRES_DSN": "x",
        "NEARCAST_TESTS_OF": "1",
        "NEARCAST_STATE": "/tmp/state",
        "PATH": "/bin",
        "nearcast_gateway__grpc_port": "1",
    }
    assert load_process(None, environment) == ProcessConfig()


@pytest.mark.parametrize(
    "text",
    [
        f'[postgres]\ndsn = ["postgresql://u:{CANARY}@h/db"]',
        f'[postgres]\ndns = "postgresql://u:{CANARY}@h/db"',
        f'[redis]\ngeo_url = "redis://:{CANARY}\\u0000@h"',
        f'redis = "redis://:{CANARY}@h"',
        f'[redis.geo_url]\npassword = "{CANARY}"',
        f'[logging]\nlevel = "postgresql://u:{CANARY}@h/db"',
        f'[postgres]\ndsn = "postgresql://u:{CANARY}@h/db',
    ],
)
def test_a_secret_is_never_shown_whatever_is_wrong_with_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_file(written(tmp_path, text), {}, {})
    assert CANARY not in str(caught.value)


def test_a_secret_in_an_unknown_variable_is_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        load_process(None, {"NEARCAST_POSTGRES_DSN": CANARY, "NEARCAST_REDIS__URL": CANARY})
    assert CANARY not in str(caught.value)


def test_a_file_gives_process_and_policy_apart(tmp_path: Path) -> None:
    path = written(tmp_path, "[gateway]\ngrpc_port = 1\n[policy.slate]\nmax_limit = 7\ndefault_limit = 7\n")
    sections, policy = read_file(path)
    assert sections == {"gateway": {"grpc_port": 1}}
    assert policy == {"slate": {"max_limit": 7, "default_limit": 7}}
    settings = load_file(path, {})
    assert settings.process.gateway.grpc_port == 1
    assert settings.policy is not None
    assert settings.policy.slate.max_limit == 7


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[gateway\n", "is not TOML"),
        (b"a = 1\na = 2\n", "is not TOML"),
        (b"a = " + b"[" * 100_000, "is not TOML"),
        (b"a = 1" + b"0" * 5000, "is not TOML"),
        (b"\xff\xfe", "it is not UTF-8"),
    ],
    ids=["broken", "twice", "deep", "long number", "not text"],
)
def test_a_file_that_is_no_toml_says_so(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "nearcast.toml"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=message) as caught:
        load_file(path, {})
    assert str(path) in str(caught.value)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_process(tmp_path / "none.toml", {})


@pytest.mark.parametrize("key", ["recycle_after_calls", "recycle_rss_mib"])
def test_a_single_process_cannot_be_recycled(key: str) -> None:
    with pytest.raises(SettingsError, match=rf"gateway\.{key}.*needs gateway.workers of 2 or more"):
        load_process(None, {}, {f"gateway.{key}": 100})
    load_process(None, {}, {f"gateway.{key}": 100, "gateway.workers": 2})

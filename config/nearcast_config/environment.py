"""Settings of a process in environment variables: NEARCAST_<SECTION>__<KEY>."""

from collections.abc import Mapping

from msgspec import Struct, inspect

from nearcast_config.declaration import Setting, settings_of
from nearcast_config.problems import SettingProblem, unknown_name

PREFIX = "NEARCAST_"

# Read by the command line, the bootstrap and the tests; no settings of a process.
OTHER_NAMES = frozenset(
    {
        "NEARCAST_ADDRESS",
        "NEARCAST_API_KEY",
        "NEARCAST_CONFIG",
        "NEARCAST_FAILPOINTS",
        "NEARCAST_KERNEL",
        "NEARCAST_KERNEL_CACHE_DIR",
        "NEARCAST_POSTGRES_BIN",
        "NEARCAST_REDIS_BIN",
        "NEARCAST_STATE",
        "NEARCAST_VENV",
    }
)
OTHER_PREFIXES = ("NEARCAST_TEST_", "NEARCAST_TESTS_")

_TRUTH = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def variable_of(key: str) -> str:
    """The variable that sets a key: `gateway.grpc_port` by NEARCAST_GATEWAY__GRPC_PORT."""
    return PREFIX + key.upper().replace(".", "__")


def read_environment(
    root: type[Struct], environment: Mapping[str, str]
) -> tuple[dict[str, object], list[SettingProblem]]:
    """The values by key, and a problem for each variable that looks like ours and means nothing.

    Text that is no value of the key's type is left as text: the check that follows names it.
    """
    by_variable = {variable_of(setting.key): setting for setting in settings_of(root)}
    values: dict[str, object] = {}
    problems = []
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX) or name in OTHER_NAMES or name.startswith(OTHER_PREFIXES):
            continue
        setting = by_variable.get(name)
        if setting is not None:
            values[setting.key] = _value(setting, text)
        elif name.startswith(f"{PREFIX}POLICY__"):
            problems.append(
                _problem(name, "is not known; a policy is set by a file, never by the environment")
            )
        else:
            problems.append(_problem(name, unknown_name(name, [*by_variable, *OTHER_NAMES])))
    return values, problems


def _problem(name: str, message: str) -> SettingProblem:
    return SettingProblem(name, message, "environment")


def _value(setting: Setting, text: str) -> object:
    try:
        match setting.type:
            case inspect.BoolType():
                return _TRUTH.get(text.strip().lower(), text)
            case inspect.IntType():
                return int(text)
            case inspect.FloatType():
                return float(text)
            case _:
                return text
    except ValueError:
        return text

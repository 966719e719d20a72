"""The commands page says what the commands say."""

from pathlib import Path

import click
import pytest

from nearcast_cli.reference import commands, reference

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "commands.md"
COMMANDS = dict(commands())


def test_the_committed_page_is_the_generated_one() -> None:
    assert PAGE.read_text(encoding="utf-8") == reference(), (
        "run: python -m nearcast_cli.reference > docs/reference/commands.md"
    )


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_option_says_what_it_is_for(path: str) -> None:
    command = COMMANDS[path]
    assert command.help
    options = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
    assert all(option.help for option in options), [option.name for option in options if not option.help]


def test_forms_that_scripts_rely_on_are_kept() -> None:
    """Removing one of these breaks other people's scripts."""
    forms = {
        "up": ["--no-town", "--state", "--grpc-port", "--http-port", "--postgres-dsn", "--redis-url"],
        "recommend": ["LAT", "LON", "--user", "--anonymous", "--radius-m", "--limit", "--json"],
        "nearby": ["LAT", "LON", "--radius-m", "--limit", "--json"],
        "record": ["KIND", "--token", "--event-id", "--json"],
        "stats": ["[ITEM_ID]...", "--json"],
        "items import": ["FILE", "--json"],
        "test": ["[PYTEST ARGS]..."],
    }
    for path, parts in forms.items():
        command = COMMANDS[path]
        context = click.Context(command)
        known = {name for param in command.params for name in [*param.opts, param.make_metavar(context)]}
        assert set(parts) <= known, path


def test_every_client_command_names_its_server_in_the_same_way() -> None:
    for path in ("recommend", "nearby", "record", "stats", "items import", "items export", "items get"):
        names = {name for param in COMMANDS[path].params for name in param.opts}
        assert {"--address", "--api-key", "--state"} <= names, path

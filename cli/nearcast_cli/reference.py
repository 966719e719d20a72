"""The page of all commands, made from them: python -m nearcast_cli.reference > docs/reference/commands.md."""

import inspect
import sys
from collections.abc import Iterator

import click

from nearcast_cli.main import nearcast

_HEAD = """\
# Commands

Generated from the commands; change those and run
`python -m nearcast_cli.reference > docs/reference/commands.md`.

In a checkout every command works as `./nearcast …`, installed as `nearcast …`.

**Server and key.** A command that asks a gateway finds it by `--address` and `--api-key`, else by
`NEARCAST_ADDRESS` and `NEARCAST_API_KEY`, else it is the instance that `nearcast up` runs on `--state`
(`.nearcast` in the current directory). A command for operators works on Postgres itself and finds it by
`--postgres-dsn`, `NEARCAST_POSTGRES__DSN`, `--config`, or the same instance.

**Output.** With `--json` standard output is one JSON document: the answer in the JSON form of its message
(64-bit numbers are strings, every field without presence is written out), or plain facts where there is no
message. Everything else goes to standard error.

**Exit status.** 0 done; 1 failed, with a sentence on standard error, or with `--json` an object with
`reason`, `message` and, where they are known, `field` and `advice`; 2 the command line was not understood;
130 interrupted.
"""


def reference() -> str:
    """The whole page."""
    sections = [_HEAD]
    for path, command in commands():
        sections.append(_section(path, command))
    return "\n".join(sections).rstrip() + "\n"


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that is not hidden, with its path, such as `items import`."""
    yield from _walk(nearcast, "")


def _walk(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        yield f"{path}{name}", command
        if isinstance(command, click.Group):
            yield from _walk(command, f"{path}{name} ")


def _section(path: str, command: click.Command) -> str:
    context = click.Context(command, info_name=f"nearcast {path}")
    depth = "##" if " " not in path else "###"
    lines = [f"{depth} nearcast {path}", ""]
    if not isinstance(command, click.Group):
        usage = " ".join(command.get_usage(context).removeprefix("Usage: ").split())
        lines += [f"```\n{usage}\n```", ""]
    lines += [_prose(command.help or ""), ""]
    shown = [param for param in command.params if isinstance(param, click.Option) and not param.hidden]
    options = [_option(param, context) for param in shown]
    if options:
        lines += ["| Option | Meaning |", "|---|---|", *options, ""]
    return "\n".join(lines)


def _prose(text: str) -> str:
    """The help; what keeps its lines in a terminal is a block here."""
    parts = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(
        "```\n" + part.removeprefix("\b\n") + "\n```" if part.startswith("\b\n") else part for part in parts
    )


def _option(param: click.Option, context: click.Context) -> str:
    record = param.get_help_record(context)
    assert record is not None, param.name
    names, meaning = record
    return f"| `{_cell(names)}` | {_cell(' '.join(meaning.split()))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())

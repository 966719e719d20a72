"""The record of a running nearcast, by which its own client commands find it."""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from nearcast_cli.embedded.state import StateDirectory


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """What a client needs to know. An address is empty until that door is open.

    `runs_stores` when both servers are its own.
    """

    pid: int
    started_at: str
    postgres_dsn: str
    redis_url: str
    runs_stores: bool = False
    address: str = ""
    http_address: str = ""
    api_key: str = ""


def write_instance(state: StateDirectory, instance: Instance) -> None:
    """Replace the record whole; it holds a key, so only we may read it."""
    draft = state.instance.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(instance), indent=2) + b"\n")
    draft.replace(state.instance)


def running_instance(state_dir: Path) -> Instance | None:
    """The nearcast that runs on this state directory now, or None."""
    state = StateDirectory(state_dir)
    with suppress(OSError, msgspec.DecodeError):
        if state.is_taken():
            return msgspec.json.decode(state.instance.read_bytes(), type=Instance)
    return None

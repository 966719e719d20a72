"""Postgres as a child: makes its data directory the first time, then runs it behind a private socket."""

import os
import shutil
import signal
import socket
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from nearcast_cli.embedded.binaries import find_postgres, postgres_version
from nearcast_cli.embedded.errors import BrokenDataError, ServerFailedError, VersionMismatchError
from nearcast_cli.embedded.nobody import can_enter, make_data_home, reachable_binaries, server_account
from nearcast_cli.embedded.ownership import check_owner
from nearcast_cli.embedded.server import ServerPlan, log_end, plain_environment
from nearcast_cli.embedded.sockets import socket_directory
from nearcast_cli.embedded.state import StateDirectory
from nearcast_cli.processes import Account, ChildSpec, spawn

# Sized for a laptop: little memory at rest, and a commit that was acknowledged is on the disk.
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
FIRST_MAJOR_WITH_BUILTIN_LOCALE = 17


def postgres_dsn(sockets: Path) -> str:
    return f"postgresql://postgres@/postgres?host={sockets}"


def plan_postgres(state: StateDirectory, settings: Mapping[str, str]) -> ServerPlan:
    """Find the programs, make the data directory if there is none, and say how to run it."""
    account = server_account()
    found = find_postgres()
    version = postgres_version(found)
    binaries = reachable_binaries(found, version, account, state.path) if account else found
    log_path = state.logs / "postgres.log"
    if not state.postgres.exists():
        _make_data(state, binaries, version, account, log_path)
    data = state.postgres.resolve()
    _check_data(data, version, account)
    _forget_recycled_pid(data)
    sockets = socket_directory(state.path, "pg", account)
    chosen = {**SETTINGS, **settings, "unix_socket_directories": str(sockets)}
    flags = [part for name, value in chosen.items() for part in ("-c", f"{name}={value}")]
    return ServerPlan(
        title="Postgres",
        child=ChildSpec(
            name="postgres",
            argv=(str(binaries / "postgres"), "-D", str(data), *flags),
            log_path=log_path,
            env=plain_environment(),
            cwd=Path("/"),
            account=account,
            death_signal=signal.SIGINT,
        ),
        directory=data,
        guard=state.path / "postgres.lock",
        socket_path=sockets / ".s.PGSQL.5432",
        stop_signal=signal.SIGINT,  # Postgres's fast shutdown: ends its sessions and loses nothing
        answers=_answers,
        advice=f"If the data is damaged, restore {data} from a backup; or, to begin empty, move it away and "
        f"start again:  mv '{state.postgres}' '{state.postgres}.broken'",
    )


def _answers(connection: socket.socket) -> bool:
    """True when Postgres lets a session begin; while it recovers it answers with an error instead."""
    parameters = b"user\0postgres\0database\0postgres\0\0"
    connection.sendall(struct.pack("!ii", 8 + len(parameters), 0x30000) + parameters)
    served = connection.recv(1) == b"R"
    if served:
        connection.sendall(b"X\0\0\0\4")
    return served


def _check_data(data: Path, version: str, account: Account | None) -> None:
    uid = account.uid if account else None
    try:
        found = (data / "PG_VERSION").read_text(encoding="ascii").strip()
    except PermissionError:
        check_owner(data, "Postgres", uid)
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise BrokenDataError(directory=data, server="Postgres", reason="it has no PG_VERSION") from error
    if found != version.split(".", maxsplit=1)[0]:
        raise VersionMismatchError(directory=data, found=found, wanted=version)
    check_owner(data, "Postgres", uid)


def _forget_recycled_pid(data: Path) -> None:
    """Remove the pid file of a killed Postgres whose number now belongs to another program.

    Postgres would take that program for itself and refuse; in a restarted container numbers repeat.
    """
    pid_file = data / "postmaster.pid"
    with suppress(OSError, IndexError):
        pid = pid_file.read_text(encoding="utf-8").split()[0]
        if Path("/proc", pid, "comm").read_text(encoding="utf-8").strip() != "postgres":
            pid_file.unlink()


def _make_data(
    state: StateDirectory, binaries: Path, version: str, account: Account | None, log_path: Path
) -> None:
    """Run initdb beside the final place and move the result there whole, so that no half of one is ever seen.

    Where root's stand-in cannot enter the state directory, the data lies elsewhere and a link says where.
    """
    elsewhere = account is not None and not can_enter(state.path, account)
    home = make_data_home(state.path) if elsewhere else state.path
    draft = home / "postgres.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if account:
        os.chown(draft, account.uid, account.gid)
    _run_initdb(draft, binaries, version, account, log_path)
    draft.rename(home / "postgres")
    if elsewhere:
        state.postgres.unlink(missing_ok=True)  # a link whose data is gone
        state.postgres.symlink_to(home / "postgres")


def _run_initdb(draft: Path, binaries: Path, version: str, account: Account | None, log_path: Path) -> None:
    # The sort order must not depend on the machine's locales: data moves between machines.
    locale = ["--locale=C.UTF-8"]
    if int(version.split(".", maxsplit=1)[0]) >= FIRST_MAJOR_WITH_BUILTIN_LOCALE:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    options = ["--encoding=UTF8", "--username=postgres", "--auth-local=trust", "--auth-host=reject"]
    spec = ChildSpec(
        name="initdb",
        argv=(str(binaries / "initdb"), "-D", str(draft), *locale, *options),
        log_path=log_path,
        env=plain_environment(),
        cwd=Path("/"),
        account=account,
    )
    process = spawn(spec)
    try:
        code = process.wait()
    except BaseException:
        process.kill()
        process.wait()
        raise
    if code != 0:
        raise ServerFailedError(
            server="Postgres",
            directory=draft,
            outcome=f"could not be made: initdb ended with exit status {code}",
            log_path=log_path,
            log_end=log_end(log_path, 0),
            advice="Check that the disk has room for 40 MB and the directory can be written.",
        )

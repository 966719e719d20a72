"""Directories for the servers' sockets: short, because a socket's path may have 104 bytes, and private."""

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from nearcast_cli.embedded.errors import SocketDirectoryError
from nearcast_cli.processes import Account

LONGEST_DIRECTORY = 104 - len("/.s.PGSQL.5432.lock") - 1


def socket_directory(state: Path, server: str, account: Account | None) -> Path:
    """A directory that only the server's user can enter, the same for the same state, made when missing."""
    key = hashlib.sha256(os.fsencode(state.resolve())).hexdigest()[:10]
    name = f"nearcast-{os.geteuid()}-{key}-{server}"
    directory = Path(tempfile.gettempdir(), name)
    if len(os.fsencode(directory)) > LONGEST_DIRECTORY:
        directory = Path("/tmp", name)  # noqa: S108 - made private below, and refused if it is another's
    owner = account.uid if account else os.geteuid()
    directory.mkdir(mode=0o700, exist_ok=True)
    facts = directory.lstat()
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid not in (os.geteuid(), owner):
        raise SocketDirectoryError(directory=directory)
    directory.chmod(0o700)
    if account and facts.st_uid != owner:
        os.chown(directory, account.uid, account.gid)
    return directory

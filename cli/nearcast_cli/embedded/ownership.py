"""Whose the data is: a directory made by one user is not served by another."""

import os
import pwd
from pathlib import Path

from nearcast_cli.embedded.errors import StateOwnerError


def check_owner(path: Path, server: str, uid: int | None = None) -> None:
    """Raise StateOwnerError when the path was made by another user than `uid`, who is us if not given."""
    wanted = os.geteuid() if uid is None else uid
    found = path.stat().st_uid
    if found != wanted:
        owner, user = _user_name(found), _user_name(wanted)
        raise StateOwnerError(directory=path, owner=owner, server=server, user=user)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"

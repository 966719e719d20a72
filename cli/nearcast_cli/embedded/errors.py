"""What can keep the embedded servers from running. Each docstring is the message its reader gets."""

import inspect


class EmbeddedError(Exception):
    """The embedded servers cannot run."""

    def __init__(self, **facts: object) -> None:
        message = " ".join(inspect.cleandoc(type(self).__doc__ or "").split())
        super().__init__(message.format(**facts))


class BinaryNotFoundError(EmbeddedError):
    """No {server} was found: not by {variable}, not in the packages {packages}, not on PATH. Start
    nearcast by ./nearcast in a checkout, which installs one; or set {variable}; or use a server of your
    own with {option}."""


class StateInUseError(EmbeddedError):
    """The state directory {state} is in use by {owner}. Stop that one, or give this one a state of its own
    with --state DIR."""


class StateNotWritableError(EmbeddedError):
    """The state directory {state} cannot be written ({reason}). Name another with --state DIR."""


class StateOwnerError(EmbeddedError):
    """{directory} belongs to {owner}, but {server} would run as {user}. Start nearcast as the user who
    made it, or give this one a state of its own with --state DIR."""


class UnreachableForNobodyError(EmbeddedError):
    """Started by root, Postgres runs as nobody, who cannot enter {state}; and its place for that case,
    {home}, cannot be made ({reason}). Start nearcast as a normal user, or name a directory that everyone
    can enter with --state DIR."""


class SocketDirectoryError(EmbeddedError):
    """The directory {directory} for the sockets is not ours alone. Remove it, or set TMPDIR to another
    directory."""


class VersionMismatchError(EmbeddedError):
    """{directory} was made by Postgres {found}, and this is Postgres {wanted}. Start nearcast with the old
    binaries by NEARCAST_POSTGRES_BIN, dump with pg_dumpall, move the directory away, start again and load the
    dump with psql."""


class BrokenDataError(EmbeddedError):
    """{directory} does not hold the data of {server}: {reason}. Restore it from a backup; or, to begin empty,
    move it away and start again:  mv '{directory}' '{directory}.broken'"""


class ServerFailedError(EmbeddedError):
    """{server} did not start with the data in {directory}: it {outcome}."""

    def __init__(self, *, advice: str, log_path: object, log_end: str, **facts: object) -> None:
        super().__init__(**facts)
        shown = "\n".join(f"    {line}" for line in log_end.splitlines()) or "    (nothing)"
        self.args = (f"{self.args[0]}\nThe end of {log_path}:\n{shown}\n{advice}",)

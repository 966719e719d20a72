"""What a store can fail with; a library's own error is translated at the adapter and kept as the cause."""


class StoreError(Exception):
    """A store failed."""


class StoreUnavailableError(StoreError):
    """Postgres does not answer."""


class DataRefusedError(StoreError):
    """Postgres can never store this value as it is; sending it again does not help."""


class RevisionChangedError(StoreError):
    """Another policy revision is in force than was expected; nothing was changed."""

    def __init__(self, in_force: int) -> None:
        super().__init__(f"revision {in_force} is in force")
        self.in_force = in_force


class RequestReusedError(StoreError):
    """A request id stands for another change of policy already; nothing was changed."""


class ExperimentRunningError(StoreError):
    """An experiment of that mode runs already; nothing was changed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"experiment {name} is running")
        self.name = name


class ExperimentTakenError(StoreError):
    """An experiment had that name before; nothing was changed."""


class IndexUnavailableError(StoreError):
    """The index of items does not answer."""


class LogUnavailableError(StoreError):
    """The event log does not answer; whether the entry was appended is unknown."""


class PositionsLostError(StoreError):
    """Another keeper has taken over a shard; nothing of the batch was stored."""


class SeenUnavailableError(StoreError):
    """What people have seen cannot be read or written now."""


class SchemaError(StoreError):
    """The database's schema does not fit this version of nearcast."""


class UnreadablePolicyError(SchemaError):
    """A policy revision was written by another version of nearcast, and this one cannot read it."""

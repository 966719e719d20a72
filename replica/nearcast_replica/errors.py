"""What can be wrong with the files of a replica."""


class ReplicaError(Exception):
    """The replica cannot be used as it is."""


class SecondWriterError(ReplicaError):
    """Another process writes this segment; there can be one only."""


class ForeignReplicaError(ReplicaError):
    """The files of the replica come from another version of nearcast, or from something else altogether."""


class UnusableSnapshotError(ReplicaError):
    """What was saved cannot be mapped back; everything must be read anew."""

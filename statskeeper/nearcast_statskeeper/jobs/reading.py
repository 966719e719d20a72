"""Reads the customer's own table of behaviour."""

from nearcast_statskeeper.jobs.schedule import Job
from nearcast_statskeeper.sourcing import SourceReader


def read_source(reader: SourceReader, interval_s: float) -> Job:
    """All that is new, and what may have been committed late."""
    return Job("read_source", interval_s, reader.run)

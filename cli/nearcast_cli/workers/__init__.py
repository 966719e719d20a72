"""Several gateway processes on one port, and the one that starts, watches and replaces them.

The one that keeps them has no gRPC in it, serves nobody and knows no store: there is little it could die of.
"""

from nearcast_cli.workers.running import environment_of, run_workers

__all__ = ["environment_of", "run_workers"]

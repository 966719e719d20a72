"""Child processes: started so that they die with us, logged, restarted when they fail, stopped in order."""

from nearcast_cli.processes.backoff import Backoff
from nearcast_cli.processes.child import Account, ChildSpec, spawn, stop
from nearcast_cli.processes.supervisor import ChildEvent, Supervisor

__all__ = ["Account", "Backoff", "ChildEvent", "ChildSpec", "Supervisor", "spawn", "stop"]

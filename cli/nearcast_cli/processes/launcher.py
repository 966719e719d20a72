"""The steps from us to a child program: drop privileges, promise to die with the parent, become the program.

Run by path in an interpreter of its own (`python -I -S launcher.py …`), because code between fork and exec is
unsafe in a process that has threads. Standard library only.
"""

import argparse
import ctypes
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1


def drop_privileges(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)
    os.umask(0o077)


def die_with_parent(parent_pid: int, death_signal: int) -> None:
    """Ask the kernel for the signal when the parent ends; after a change of user, which would clear it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        sys.exit("the parent ended before its child began")


def run_watching_pipe(command: list[str], death_signal: int) -> int:
    """Where the kernel has no such signal: stay as the program's parent and watch ours by standard input."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda received, _: child.send_signal(received))

    def watch() -> None:
        while os.read(0, 1):
            pass
        child.send_signal(death_signal)

    threading.Thread(target=watch, daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--signal", type=int, required=True)
    parser.add_argument("--account", help="UID:GID to become")
    parser.add_argument(
        "--pipe", action="store_true", help="watch standard input instead of asking the kernel"
    )
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    command = arguments.command[1:]  # after "--"
    if arguments.account:
        uid, gid = arguments.account.split(":")
        drop_privileges(int(uid), int(gid))
    if arguments.pipe:
        sys.exit(run_watching_pipe(command, arguments.signal))
    die_with_parent(arguments.parent, arguments.signal)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the command came from us, as a list
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main()

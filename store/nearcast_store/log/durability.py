"""What a Redis promises of an append that it has answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from nearcast_ledger.event import Durability
from nearcast_store.connection import Command, RedisConnection, RedisReplyError, Reply
from nearcast_store.errors import LogUnavailableError

_POLICY = {b"always": Durability.FSYNC, b"everysec": Durability.EVERYSEC}
_SETTINGS: tuple[Command, ...] = (("CONFIG", "GET", "appendonly"), ("CONFIG", "GET", "appendfsync"))
# Refused where nothing is written to disk. Behind an append it takes a tenth of a second: not each has one.
_PROBE: Command = ("WAITAOF", 1, 0, 1)
_PROBED_LASTS_S = 1.0

# A server that writes to disk each second may take that long, and a copy of it as long again.
_SYNCED_S = {Durability.FSYNC: 2.5, Durability.REPLICATED: 4.0}


def append_timeout_s(durability: Durability, command_timeout_s: float) -> float:
    """How long an append may take with all that is waited for."""
    return max(command_timeout_s, _SYNCED_S.get(durability, 0.0))


@dataclass(frozen=True, slots=True)
class Proof:
    """Questions sent right behind appends: the server that took these answers, as it is set just then.

    `require` judges the replies and raises LogUnavailableError. What it found may be taken for true so long.
    """

    questions: tuple[Command, ...]
    require: Callable[[Sequence[Reply]], None]
    lasts_s: float = 0.0


async def find_proof(connection: RedisConnection, durability: Durability) -> Proof:
    """How this server can prove it; LogUnavailableError when it offers less, before anything is appended."""
    if durability is Durability.MEMORY:
        return Proof((), lambda _: None)
    if durability is Durability.REPLICATED:
        return _disks(connection, durability)
    *settings, probed = await connection.exchange([*_SETTINGS, _PROBE])
    if durability is Durability.FSYNC and not isinstance(probed, RedisReplyError):
        return _disks(connection, durability)
    if isinstance(settings[0], RedisReplyError):
        proof = Proof((_PROBE,), partial(_require_probed, durability), _PROBED_LASTS_S)
        proof.require([probed])
    else:
        proof = Proof(_SETTINGS, partial(_require_settings, durability))
        proof.require(settings)
    return proof


def _require_durability(asked: Durability, offered: Durability) -> None:
    """Raise LogUnavailableError when an answer would promise more than was reached."""
    if offered < asked:
        raise LogUnavailableError(
            f"the log's Redis reaches durability {offered.name.lower()}, asked is {asked.name.lower()}: "
            "set appendonly yes and appendfsync in Redis, or log.durability lower"
        )


def _disks(connection: RedisConnection, durability: Durability) -> Proof:
    copies = 1 if durability is Durability.REPLICATED else 0
    wait = ("WAITAOF", 1, copies, int(connection.command_timeout_s * 800))
    return Proof((wait,), partial(_require_synced, durability))


def _require_synced(durability: Durability, replies: Sequence[Reply]) -> None:
    """Raise LogUnavailableError unless as many disks have it as was asked: ours, and one of a copy."""
    asked, reply = durability.name.lower(), replies[0]
    if isinstance(reply, RedisReplyError):
        raise LogUnavailableError(
            f"durability {asked} needs WAITAOF, as in Redis 7.2, and appendonly yes: {reply}"
        )
    here, copies = reply
    if here < 1:
        raise LogUnavailableError("the log's Redis did not write to disk in time")
    if durability is Durability.REPLICATED and copies < 1:
        raise LogUnavailableError(
            "no replica of the log's Redis wrote to disk in time: see INFO replication, and appendonly there"
        )


def _require_settings(durability: Durability, replies: Sequence[Reply]) -> None:
    appendonly, policy = (
        bytes(reply[1]) if reply and not isinstance(reply, RedisReplyError) else b"" for reply in replies
    )
    offered = _POLICY.get(policy, Durability.MEMORY) if appendonly == b"yes" else Durability.MEMORY
    _require_durability(durability, offered)


def _require_probed(durability: Durability, replies: Sequence[Reply]) -> None:
    """Where settings are hidden: that what is written is synced each second is the default."""
    refused = isinstance(replies[0], RedisReplyError)
    _require_durability(durability, Durability.MEMORY if refused else Durability.EVERYSEC)

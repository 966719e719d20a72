"""Which visit a request belongs to, and which policy epoch that visit keeps."""

from collections.abc import Callable
from hashlib import blake2b

from msgspec import Struct

from nearcast_ledger.sealing import TokenInvalidError
from nearcast_ledger.sessiontoken import SessionToken
from nearcast_server.choosing import Lineup
from nearcast_server.tenancy import View
from nearcast_store.policies.protocol import Epoch

SESSION_BYTES = 16


class Visit(Struct, frozen=True):
    """`session` names the visit in hashes and seeds; the caller's own id is never used as it is."""

    session: bytes
    epoch: Epoch | None
    token: str


def resolve_visit(
    view: View,
    session_id: str,
    session_token: str,
    lineup: Lineup,
    now_ms: int,
    random_bytes: Callable[[int], bytes],
) -> Visit:
    """Go on with the visit of a readable token; otherwise begin one under the latest epoch.

    An epoch that knows nothing of these feeds, from before a change of policy, is given up for the latest.
    """
    held = _held(view, session_token, now_ms)
    session = held.session if held else _new_session(view, session_id, random_bytes)
    epoch = view.epochs.get(held.policy_epoch) if held else None
    if epoch is None or lineup.published(epoch) is None:
        epoch = view.latest_epoch
    number = epoch.number if epoch else 0
    if held and held.policy_epoch == number:
        return Visit(session, epoch, session_token)
    return Visit(session, epoch, sign_visit(view, session, number, now_ms))


def session_of(
    view: View, session_id: str, session_token: str, now_ms: int, random_bytes: Callable[[int], bytes]
) -> tuple[bytes, str]:
    """The visit that a request belongs to, and a token that names it from now on."""
    held = _held(view, session_token, now_ms)
    if held is not None:
        return held.session, session_token
    session = _new_session(view, session_id, random_bytes)
    return session, sign_visit(view, session, 0, now_ms)


def sign_visit(view: View, session: bytes, epoch: int, now_ms: int) -> str:
    """What the client sends with the next call of the visit."""
    return view.tokens.sessions.sign(SessionToken(view.tenant_id, session, epoch, now_ms))


def _held(view: View, session_token: str, now_ms: int) -> SessionToken | None:
    if not session_token:
        return None
    try:
        return view.tokens.sessions.verify(session_token, view.tenant_id, now_ms)
    except TokenInvalidError:
        return None


def _new_session(view: View, session_id: str, random_bytes: Callable[[int], bytes]) -> bytes:
    if not session_id:
        return random_bytes(SESSION_BYTES)
    return blake2b(
        session_id.encode(), digest_size=SESSION_BYTES, key=view.tokens.salt, person=b"nearcast session"
    ).digest()

"""Items of slates by machine code, once that is there; until then, and without it, Python writes them."""

from typing import TYPE_CHECKING

from nearcast_compiling.native import IS_NATIVE
from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_ledger.rewardtoken import RewardTokens
from nearcast_ledger.seen import MOST_SLATE_ITEMS
from nearcast_server.answering import Rows
from nearcast_server.recommending import Slate

if TYPE_CHECKING:
    from nearcast_server.rpc.slatebytes import SlateBytes


class MachineSlates:
    """Not for two threads at once."""

    def __init__(self) -> None:
        self._bytes: SlateBytes | None = None

    def open(self) -> None:
        """Load the machine code, or make it, which takes seconds: in a thread beside the requests."""
        if IS_NATIVE and self._bytes is None:
            from nearcast_server.rpc.slatebytes import SlateBytes  # noqa: PLC0415 - needs numba

            RewardTokens(Keyring((SigningKey(1, bytes(32)),))).load_press()
            self._bytes = SlateBytes()

    def items(self, slate: Slate) -> bytes | None:
        """The items of the answer; None where Python has to write them."""
        rows, claims = slate.finding.items, slate.claims
        if self._bytes is None or claims is None or not isinstance(rows, Rows):
            return None
        if len(rows) > MOST_SLATE_ITEMS or slate.finding.pinned:
            return None
        tokens = slate.view.tokens.rewards.press_items(claims, slate.finding.postings)
        return self._bytes.of(rows.pinned.segment, rows.found, claims.position, tokens)

"""What the gateway knows of each tenant: one immutable view, replaced as a whole."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from nearcast_ledger.keyring import Keyring
from nearcast_ledger.nearbycursor import NearbyCursors
from nearcast_ledger.pagetoken import PageTokens
from nearcast_ledger.rewardtoken import RewardTokens
from nearcast_ledger.sessiontoken import SessionTokens
from nearcast_server.capping import NOTHING_CAPPED, Capped
from nearcast_server.errors import UnavailableError
from nearcast_server.evidence import Evidence
from nearcast_server.orders import Order
from nearcast_server.surfaces import Surface
from nearcast_store.markets.atlas import NO_MARKETS, Atlas
from nearcast_store.policies.protocol import Epoch, Revision
from nearcast_store.tenants.protocol import Beat

# So long a fit may take to reach this host's replica: a scribe that is gone holds up nobody for longer.
FITS_WAIT_S = 10.0


@dataclass(frozen=True, slots=True)
class Tokens:
    """Signs and verifies every token of one keyring."""

    keyring: Keyring
    rewards: RewardTokens
    pages: PageTokens
    cursors: NearbyCursors
    sessions: SessionTokens

    @classmethod
    def of(cls, keyring: Keyring) -> "Tokens":
        """The tokens of a keyring."""
        return cls(
            keyring,
            RewardTokens(keyring),
            PageTokens(keyring),
            NearbyCursors(keyring),
            SessionTokens(keyring),
        )

    @property
    def salt(self) -> bytes:
        """The secret that sessions, seeds and hashes are keyed by."""
        return self.keyring.signing_key.secret


@dataclass(frozen=True, slots=True)
class View:
    """All that a decision needs to know of a tenant, as of one moment.

    `contender` is tried on a share of sessions, `shadow` decided and never served; `contends`: this is the
    view of one of them.
    """

    tenant_id: int
    revision: Revision
    orders: Mapping[str, Order]
    tokens: Tokens
    epochs: Mapping[int, Epoch]
    latest_epoch: Epoch | None
    evidence: Evidence
    read_at: float
    beat: Beat | None
    store_answers: bool
    atlas: Atlas = NO_MARKETS
    surfaces: Mapping[str, Surface] = field(default_factory=dict)
    capped: Capped = NOTHING_CAPPED
    contender: "Contender | None" = None
    shadow: "Contender | None" = None
    contends: bool = False

    @property
    def stats_at(self) -> float:
        """As of when the statistics hold everything: the last look, or as far as the keeper was by then."""
        return self.read_at if self.beat is None else min(self.read_at, self.beat.fresh_at)

    def unanswered(self) -> "View":
        """The same while the store does not answer."""
        contender = self.contender and replace(self.contender, view=self.contender.view.unanswered())
        return replace(self, store_answers=False, contender=contender)

    def believing(self, evidence: Evidence) -> "View":
        """The same with other evidence of the same policy, also for whoever shares it."""
        contender = self.contender and self.contender.believing(evidence)
        shadow = self.shadow and self.shadow.believing(evidence)
        return replace(self, evidence=evidence, contender=contender, shadow=shadow)

    def in_place_of(self, newest: "View") -> "View":
        """To decide what the newest cannot: this policy and what it believes, all else as it is now.

        What is tried beside it is so only as long as it still is.
        """
        policy, now = self.revision.policy, newest.revision.policy
        knows_epochs, pauses_alike = policy.feeds == now.feeds, policy.caps == now.caps
        return replace(
            self,
            tokens=newest.tokens,
            epochs=newest.epochs if knows_epochs else self.epochs,
            latest_epoch=newest.latest_epoch if knows_epochs else self.latest_epoch,
            beat=newest.beat,
            store_answers=newest.store_answers,
            capped=newest.capped if pauses_alike else self.capped,
            contender=_still_tried(self.contender, newest, newest.contender),
            shadow=_still_tried(self.shadow, newest, newest.shadow),
        )

    @property
    def mark(self) -> tuple[int, int]:
        """Equal as long as policy and feed probabilities are: revision, and epoch (0 before the first)."""
        return self.revision.number, self.latest_epoch.number if self.latest_epoch else 0


@dataclass(frozen=True, slots=True)
class Contender:
    """A policy that is tried beside the one in force: the tenant as it sees it.

    `believes_alike`: replicas, which are told what the policy in force believes, can be asked for it.
    """

    number: int
    name: str
    share: float
    view: View
    believes_alike: bool

    def believing(self, evidence: Evidence) -> "Contender":
        """The same with other evidence; one that believes otherwise keeps to that."""
        if not self.believes_alike:
            return self
        evidence = replace(evidence, weights=self.view.evidence.weights)
        return replace(self, view=replace(self.view, evidence=evidence))


def _still_tried(before: Contender | None, newest: View, tried: Contender | None) -> Contender | None:
    if before is None or tried is None or before.number != tried.number:
        return None
    return replace(before, view=before.view.in_place_of(newest))


class Tenancies:
    """The views of all tenants; written by the refresher, read by every call.

    What is believed changes with policies, which are followed at once, and with fits, which are followed
    when this host's replica has them: see `publish`.
    """

    def __init__(self) -> None:
        self._views: dict[int, View] = {}
        self._before: dict[int, View] = {}
        self._is_believed: Callable[[View], bool] = lambda _: False

    def heed(self, is_believed: Callable[[View], bool]) -> None:
        """Whoever can tell whether this host's replica was told what a view believes."""
        self._is_believed = is_believed

    def publish(self, view: View) -> bool:
        """Replace the tenant's view; whether what was believed by the one before is void.

        Where the replica still believes what the view before does, that one is kept. Under the same policy
        the new one goes on believing so for a while, instead of having the index asked.
        """
        tenant_id = view.tenant_id
        last = self._views.get(tenant_id)
        before = self._before.get(tenant_id)
        if before is None and last is not None and last.evidence.rules != view.evidence.rules:
            before = last
        if before is None or self._is_believed(view) or not self._is_believed(before):
            self._before.pop(tenant_id, None)
        else:
            self._before[tenant_id] = before
            is_fitted_anew = before.revision.number == view.revision.number
            if is_fitted_anew and view.read_at - before.read_at <= FITS_WAIT_S:
                view = view.believing(before.evidence)
        self._views[tenant_id] = view
        return last is not None and last.evidence.rules != view.evidence.rules

    def before(self, tenant_id: int) -> View | None:
        """The last view that the replica believes, while it does not believe the present one."""
        return self._before.get(tenant_id)

    def known(self) -> tuple[View, ...]:
        """Every view."""
        return tuple(self._views.values())

    def find(self, tenant_id: int) -> View | None:
        """The tenant's view, if there is one."""
        return self._views.get(tenant_id)

    def view(self, tenant_id: int) -> View:
        """The tenant's view; UnavailableError while it has not been read for the first time."""
        view = self._views.get(tenant_id)
        if view is None:
            raise UnavailableError(
                "SERVER_NOT_READY", "this tenant is still being read; call again", retry_after_s=1.0
            )
        return view

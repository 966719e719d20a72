"""AdminService on the wire."""

from collections.abc import Iterable
from typing import Protocol

from nearcast.v1 import admin_pb2
from nearcast_config.policytext import policy_to_toml
from nearcast_config.problems import SettingProblem
from nearcast_config.ranges import allowed_at
from nearcast_ledger.requestid import is_uuid7, parse_uuid
from nearcast_server.errors import InvalidRequestError
from nearcast_server.governing import Governor, Wish
from nearcast_server.listpages import ListPages
from nearcast_server.retelling import Teller
from nearcast_server.rpc.items import to_stamp
from nearcast_server.rpc.queries import to_asked_about
from nearcast_server.rpc.retold import to_decision
from nearcast_store.policies.protocol import RevisionNote
from nearcast_store.tenants.protocol import Caller

MOST_TOKEN_CHARS = 512


class _Asked(Protocol):
    @property
    def note(self) -> str: ...
    @property
    def expected_revision(self) -> int: ...
    @property
    def request_id(self) -> str: ...


class AdminService:
    """What a tenant has set."""

    def __init__(self, governor: Governor, pages: ListPages, teller: Teller) -> None:
        self._governor = governor
        self._pages = pages
        self._teller = teller

    async def ValidatePolicy(
        self, caller: Caller, request: admin_pb2.ValidatePolicyRequest
    ) -> admin_pb2.ValidatePolicyResponse:
        """What is wrong with a policy, and what it would change."""
        checked = await self._governor.check(caller.tenant_id, _text(request.policy_toml))
        return admin_pb2.ValidatePolicyResponse(
            problems=to_notes(checked.problems),
            warnings=to_notes(checked.warnings),
            changes=[
                admin_pb2.PolicyChange(key=change.key, before=change.before, after=change.after)
                for change in checked.changes
            ],
            revision_in_force=checked.in_force,
        )

    async def ApplyPolicy(
        self, caller: Caller, request: admin_pb2.ApplyPolicyRequest
    ) -> admin_pb2.ApplyPolicyResponse:
        """Put a policy in force."""
        made = await self._governor.apply(
            caller.tenant_id, _text(request.policy_toml), _wish(caller, request)
        )
        return admin_pb2.ApplyPolicyResponse(
            revision=made.revision, warnings=to_notes(made.warnings), unchanged=not made.is_changed
        )

    async def RollbackPolicy(
        self, caller: Caller, request: admin_pb2.RollbackPolicyRequest
    ) -> admin_pb2.RollbackPolicyResponse:
        """Put in force what an older revision said."""
        if request.revision == 0:
            raise InvalidRequestError.of("revision", "REQUIRED_FIELD", "must be the number of a revision")
        made = await self._governor.rollback(caller.tenant_id, request.revision, _wish(caller, request))
        return admin_pb2.RollbackPolicyResponse(
            revision=made.revision, warnings=to_notes(made.warnings), unchanged=not made.is_changed
        )

    async def GetPolicy(
        self, caller: Caller, request: admin_pb2.GetPolicyRequest
    ) -> admin_pb2.GetPolicyResponse:
        """One revision, or the one in force."""
        revision = await self._governor.revision(caller.tenant_id, request.revision)
        return admin_pb2.GetPolicyResponse(
            revision=revision.number, policy_toml=policy_to_toml(revision.policy)
        )

    async def ListPolicyRevisions(
        self, caller: Caller, request: admin_pb2.ListPolicyRevisionsRequest
    ) -> admin_pb2.ListPolicyRevisionsResponse:
        """Revisions, the newest first."""
        below = self._below(caller.tenant_id, request.page_token)
        notes, more = await self._governor.page(caller.tenant_id, below, request.page_size)
        return admin_pb2.ListPolicyRevisionsResponse(
            revisions=[_to_revision(note) for note in notes],
            next_page_token=self._pages.close(caller.tenant_id, str(more), False) if more else "",
        )

    async def Freeze(self, caller: Caller, request: admin_pb2.FreezeRequest) -> admin_pb2.FreezeResponse:
        """Stop drawing, everywhere or in a market."""
        made = await self._governor.freeze(
            caller.tenant_id, request.market, _wish(caller, request), frozen=True
        )
        return admin_pb2.FreezeResponse(revision=made.revision, unchanged=not made.is_changed)

    async def Unfreeze(
        self, caller: Caller, request: admin_pb2.UnfreezeRequest
    ) -> admin_pb2.UnfreezeResponse:
        """Let it go on."""
        made = await self._governor.freeze(
            caller.tenant_id, request.market, _wish(caller, request), frozen=False
        )
        return admin_pb2.UnfreezeResponse(revision=made.revision, unchanged=not made.is_changed)

    async def ExplainDecision(
        self, caller: Caller, request: admin_pb2.ExplainDecisionRequest
    ) -> admin_pb2.ExplainDecisionResponse:
        """What a logged decision was made from."""
        if not request.request_id:
            raise InvalidRequestError.of("request_id", "REQUIRED_FIELD", "must be that of an answer")
        request_id = parse_uuid(request.request_id)
        if request_id is None or not is_uuid7(request_id):
            raise InvalidRequestError.of(
                "request_id", "REQUEST_ID_FORMAT", "must be a UUIDv7, as an answer names its decision"
            )
        item_ids = to_asked_about("item_ids", request.item_ids)
        return to_decision(await self._teller.tell(caller.tenant_id, request_id, item_ids))

    def _below(self, tenant_id: int, token: str) -> int:
        if len(token) > MOST_TOKEN_CHARS:
            raise InvalidRequestError.of("page_token", "PAGE_TOKEN_INVALID", "is no token of this server")
        return int(self._pages.open(tenant_id, token, False)) if token else 0


def to_notes(problems: Iterable[SettingProblem]) -> list[admin_pb2.PolicyNote]:
    """The wire's notes."""
    return [
        admin_pb2.PolicyNote(key=problem.key, message=problem.message, allowed=allowed_at(problem.key))
        for problem in problems
    ]


def _wish(caller: Caller, request: _Asked) -> Wish:
    return Wish(f"key {caller.key_id}", request.note, request.expected_revision, request.request_id)


def _text(policy_toml: str) -> str:
    """An empty text is a slip more often than the wish for all defaults."""
    if not policy_toml.strip():
        raise InvalidRequestError.of(
            "policy_toml", "REQUIRED_FIELD", "must be a policy as TOML; for all defaults send [policy]"
        )
    return policy_toml


def _to_revision(note: RevisionNote) -> admin_pb2.PolicyRevision:
    return admin_pb2.PolicyRevision(
        revision=note.number,
        author=note.author,
        note=note.note,
        created_at=to_stamp(note.created_at),
        etag=note.checksum.hex()[:16],
        contender=note.contender,
    )

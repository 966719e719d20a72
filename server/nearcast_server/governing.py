"""The rules of changing what a tenant has set, on the wire and on the command line alike."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from hashlib import sha256

import msgspec

from nearcast_catalogue.checking import Violation, check_id
from nearcast_catalogue.echo import printable
from nearcast_config.consistency import policy_warnings
from nearcast_config.exposurerules import thin_evidence
from nearcast_config.mastery import Market
from nearcast_config.policy import Policy
from nearcast_config.policydiff import Change, policy_changes
from nearcast_config.policytext import MOST_TEXT_CHARS, load_policy_text
from nearcast_config.problems import SettingProblem, SettingsError
from nearcast_server.errors import ChangedError, InvalidRequestError, NotFoundError
from nearcast_store.counting.traffic import Traffic
from nearcast_store.errors import RequestReusedError, RevisionChangedError, UnreadablePolicyError
from nearcast_store.markets.protocol import MarketStore
from nearcast_store.policies.protocol import PolicyStore, Revision, RevisionNote, Terms

MOST_NOTE_CHARS = 300
DEFAULT_PAGE_SIZE = 20
MOST_PAGE_SIZE = 100
_NEWEST = 2**62
_TRIES = 8


@dataclass(frozen=True, slots=True)
class Wish:
    """Who changes something and why; what must be in force (0: anything), and the call's own name."""

    author: str
    note: str = ""
    expected_revision: int = 0
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What is to be said of a policy: without problems it can be applied."""

    problems: Sequence[SettingProblem]
    warnings: Sequence[SettingProblem]
    changes: Sequence[Change]
    in_force: int


@dataclass(frozen=True, slots=True)
class Made:
    """The revision that says what was asked for, and what is probably not meant by it.

    Unless `is_changed` it was there already: it is in force, or the call had made it, and another is by now.
    """

    revision: int
    warnings: Sequence[SettingProblem]
    is_changed: bool = True
    in_force: int = 0


class Governor:
    """Checks, applies, takes back and freezes. Raises RequestError, StoreError."""

    def __init__(self, policies: PolicyStore, markets: MarketStore, traffic: Traffic | None = None) -> None:
        self._policies = policies
        self._markets = markets
        self._traffic = traffic

    async def check(self, tenant_id: int, text: str) -> Checked:
        """What would become of this text."""
        current = await self._current(tenant_id)
        number = current.number if current else 0
        try:
            policy = await _load(text)
        except SettingsError as error:
            return Checked(error.problems, (), (), number)
        warnings = await self._warnings(tenant_id, policy, current)
        return Checked((), warnings, policy_changes(current.policy, policy) if current else (), number)

    async def apply(self, tenant_id: int, text: str, wish: Wish) -> Made:
        """Put this text in force."""
        check_wish(wish)
        policy = await read_policy(text)
        return await self._put(tenant_id, policy, wish, b"apply" + text.encode())

    async def rollback(self, tenant_id: int, number: int, wish: Wish) -> Made:
        """Put in force what an older revision said."""
        check_wish(wish)
        try:
            policy = (await self.revision(tenant_id, number)).policy
        except UnreadablePolicyError as error:
            raise InvalidRequestError.of(
                "revision",
                "POLICY_INVALID",
                f"revision {number} is of another version of nearcast: this one does not know all it says",
            ) from error
        wish = replace(wish, note=wish.note or f"rollback to revision {number}")
        return await self._put(tenant_id, policy, wish, b"rollback %d" % number)

    async def revision(self, tenant_id: int, number: int) -> Revision:
        """By number, 0 for the one in force. Raises NotFoundError."""
        found = None
        if number == 0:
            found = await self._policies.current(tenant_id)
        elif 0 < number < _NEWEST:
            found = await self._policies.revision(tenant_id, number)
        if found is None:
            # Whoever asks for a new tenant's policy makes its first one.
            await self._policies.current(tenant_id)
            newest = (await self._policies.revisions(tenant_id, _NEWEST, 1))[0].number
            raise NotFoundError(
                "POLICY_REVISION_NOT_FOUND",
                f"there is no revision {number}; the newest is {newest}",
                metadata={"field": "revision", "newest": str(newest)},
            )
        return found

    async def page(self, tenant_id: int, below: int, size: int) -> tuple[list[RevisionNote], int]:
        """The newest revisions below that number, 0 for all; and the number to go on below, 0 at the end."""
        if size < 0:
            raise InvalidRequestError.of(
                "page_size", "PAGE_SIZE_OUT_OF_RANGE", f"must not be negative, got {size}"
            )
        await self._current(tenant_id)
        most = min(size or DEFAULT_PAGE_SIZE, MOST_PAGE_SIZE)
        notes = await self._policies.revisions(tenant_id, below or _NEWEST, most + 1)
        return notes[:most], notes[most - 1].number if len(notes) > most else 0

    async def freeze(self, tenant_id: int, market: str, wish: Wish, *, frozen: bool) -> Made:
        """Stop drawing in a market, or everywhere when it is ""; or let it go on."""
        check_wish(wish)
        word = "freeze" if frozen else "unfreeze"
        if market:
            await self._check_market(tenant_id, market, frozen=frozen)
        wish = replace(wish, note=wish.note or f"{word} {market or 'everything'}")

        def change(policy: Policy) -> Policy:
            return _frozen(policy, market, frozen=frozen)

        return await self._amend(tenant_id, change, wish, f"{word} {market}".encode())

    async def _check_market(self, tenant_id: int, market: str, *, frozen: bool) -> None:
        """What was frozen can be lifted also where there is no such market any more."""
        known = sorted((await self._markets.atlas(tenant_id)).numbers)
        if market in known:
            return
        policy = (await self._policies.current(tenant_id)).policy
        if not frozen and market in policy.markets:
            return
        raise InvalidRequestError.of(
            "market",
            "MARKET_UNKNOWN",
            f"must be the id of an enabled market, got {printable(market)}{_instead(market, known, policy)}",
        )

    async def _amend(
        self, tenant_id: int, change: Callable[[Policy], Policy], wish: Wish, asked: bytes
    ) -> Made:
        """Change what is in force; when somebody else does so meanwhile, what is in force then."""
        for left in reversed(range(_TRIES)):
            current = await self._policies.current(tenant_id)
            seen = wish if wish.expected_revision else replace(wish, expected_revision=current.number)
            try:
                return await self._put(tenant_id, change(current.policy), seen, asked)
            except ChangedError:
                if wish.expected_revision or not left:
                    raise
        raise AssertionError("the last try ends the loop")

    async def _put(self, tenant_id: int, policy: Policy, wish: Wish, asked: bytes) -> Made:
        has_any = await self._policies.revisions(tenant_id, _NEWEST, 1)
        before = await self._current(tenant_id) if has_any else None
        terms = Terms(wish.expected_revision, wish.request_id, sha256(asked).digest())
        try:
            revision = await self._policies.apply(tenant_id, policy, wish.author, wish.note, terms)
        except SettingsError as error:
            raise _invalid(error) from error
        except RevisionChangedError as error:
            raise ChangedError(
                "POLICY_CHANGED",
                f"revision {error.in_force} is in force, not {wish.expected_revision}: look at what changed, "
                "and send the change again with that number",
                metadata={"field": "expected_revision", "in_force": str(error.in_force)},
            ) from error
        except RequestReusedError as error:
            raise InvalidRequestError.of(
                "request_id", "REQUEST_ID_REUSED", "names another change already; take a new one for this"
            ) from error
        warnings = await self._warnings(tenant_id, revision.policy, before)
        is_changed = not has_any or revision.number > has_any[0].number
        in_force = revision.number if is_changed or before is None else before.number
        return Made(revision.number, warnings, is_changed, in_force)

    async def _current(self, tenant_id: int) -> Revision | None:
        """None when another version of nearcast wrote it: applying another policy is the way out."""
        try:
            return await self._policies.current(tenant_id)
        except UnreadablePolicyError:
            return None

    async def _warnings(
        self, tenant_id: int, policy: Policy, before: Revision | None
    ) -> tuple[SettingProblem, ...]:
        known = (await self._markets.atlas(tenant_id)).numbers if policy.markets else {}
        lifted = _lifted(before.policy, policy) if before else ()
        thin = thin_evidence(policy, await self._shown_per_hour(tenant_id, known))
        return (*policy_warnings(policy), *_unknown_markets(policy, known), *lifted, *thin)

    async def _shown_per_hour(self, tenant_id: int, markets: Mapping[str, int]) -> dict[str, float]:
        """Of a median item, anywhere ("") and in these markets, as far as that is known."""
        rates = await self._traffic.shown_per_hour(tenant_id) if self._traffic else {}
        places = [("", None), *markets.items()]
        return {name: rates[number] for name, number in places if number in rates}


def check_wish(wish: Wish) -> None:
    """Raise InvalidRequestError."""
    if len(wish.note) > MOST_NOTE_CHARS:
        raise InvalidRequestError.of(
            "note", "TEXT_TOO_LONG", f"must have at most {MOST_NOTE_CHARS} characters, got {len(wish.note)}"
        )
    if "\0" in wish.note:
        raise InvalidRequestError.of("note", "TEXT_CHARSET", "must not have control characters")
    if wish.request_id and (problems := check_id("request_id", wish.request_id)):
        raise InvalidRequestError(problems)


async def read_policy(text: str) -> Policy:
    """What a text says. Raises InvalidRequestError."""
    try:
        return await _load(text)
    except SettingsError as error:
        raise _invalid(error) from error


async def _load(text: str) -> Policy:
    """A long text takes a while to be read, and others are answered meanwhile. Raises SettingsError."""
    if len(text) > MOST_TEXT_CHARS:
        raise InvalidRequestError.of(
            "policy_toml",
            "TEXT_TOO_LONG",
            f"must have at most {MOST_TEXT_CHARS} characters, got {len(text)}",
        )
    return await asyncio.to_thread(load_policy_text, text)


def _invalid(error: SettingsError) -> InvalidRequestError:
    """One violation for each key."""
    return InvalidRequestError(
        [
            Violation(problem.key or "policy_toml", "POLICY_INVALID", problem.message)
            for problem in error.problems
        ]
    )


def _frozen(policy: Policy, market: str, *, frozen: bool) -> Policy:
    if not market:
        master = msgspec.structs.replace(policy.master, frozen=frozen)
        return msgspec.structs.replace(policy, master=master)
    own = msgspec.structs.replace(policy.markets.get(market, Market()), frozen=frozen)
    others = {name: known for name, known in policy.markets.items() if name != market}
    # What says nothing is left out, so that freezing and lifting it leaves the policy as it was.
    return msgspec.structs.replace(policy, markets=others if own == Market() else {**others, market: own})


def _instead(market: str, known: Sequence[str], policy: Policy) -> str:
    """What may have been meant."""
    if near := get_close_matches(market, known, 1):
        return f"; did you mean {near[0]}?"
    if market in policy.feeds:
        return ", which is a feed: a freeze stops all feeds of a market; `feeds` of a scenario leave one out"
    return "" if known else "; there is none, leave it empty to freeze everything"


def _unknown_markets(policy: Policy, known: Mapping[str, int]) -> Iterator[SettingProblem]:
    for name in policy.markets:
        if name not in known:
            yield SettingProblem(
                f"policy.markets.{name}", "is the id of no enabled market: what it says is not used"
            )


def _lifted(before: Policy, after: Policy) -> Iterator[SettingProblem]:
    message = "was frozen and is no longer: the bandits draw and explore again"
    if before.master.frozen and not after.master.frozen:
        yield SettingProblem("policy.master.frozen", message)
    for name, market in before.markets.items():
        if market.frozen and not after.markets.get(name, Market()).frozen:
            yield SettingProblem(f"policy.markets.{name}.frozen", message)

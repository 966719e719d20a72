"""Which view is in force while this host's replica believes what another does."""

from dataclasses import replace

import msgspec
import pytest

from nearcast_bandit.fitting import FitKind
from nearcast_bandit.hierarchy import Level, LevelPrior
from nearcast_bandit.posterior import Prior
from nearcast_config.caps import Caps
from nearcast_config.mastery import Market
from nearcast_config.policy import Exposure, Policy, Priors
from nearcast_ledger.keyring import Keyring, SigningKey
from nearcast_ledger.kinds import VIEW
from nearcast_server.capping import Capped
from nearcast_server.degrading import degraded
from nearcast_server.evidence import Learner
from nearcast_server.tenancy import FITS_WAIT_S, Contender, Tenancies, Tokens, View
from nearcast_store.priors.protocol import EVERYWHERE, PriorFit
from nearcast_store.tenants.protocol import Beat
from tests.unit.server.scene import (
    NOW,
    TENANT,
    make_epoch,
    make_policy,
    make_revision,
    make_view,
    with_epochs,
)

LEARNED = make_policy(priors=Priors(mode="learned"))


def some_fit(number: int, strength: float, region: tuple[int | None, str | None] = EVERYWHERE) -> PriorFit:
    prior = LevelPrior(Prior(0.2, strength), Level.ALL, FitKind.FITTED, 9, 9.0, 1.0, 1.0)
    return PriorFit(TENANT, number, b"", NOW, {VIEW: {EVERYWHERE: prior, region: prior}})


def seen(
    policy: Policy = LEARNED, fit: PriorFit | None = None, number: int = 1, later_s: float = 0.0
) -> View:
    """The tenant under a policy of that number, with that fit."""
    revision = replace(make_revision(policy), number=number)
    learner = Learner()
    learner.follow(revision, NOW, None, {"oslo": 1})
    learner.assume(fit)
    view = make_view(policy)
    return replace(view, revision=revision, evidence=learner.evidence(NOW), read_at=NOW + later_s)


def with_kinds(**changed: float) -> Policy:
    kinds = {name: msgspec.structs.replace(kind, **changed) for name, kind in LEARNED.kinds.items()}
    return msgspec.structs.replace(LEARNED, kinds=kinds)


@pytest.mark.parametrize(
    "other",
    [
        seen(with_kinds(weight=9.0)),
        seen(msgspec.structs.replace(LEARNED, markets={"oslo": Market(frozen=True)})),
        seen(msgspec.structs.replace(LEARNED, master=msgspec.structs.replace(LEARNED.master, frozen=True))),
        seen(number=7),
    ],
    ids=["weights", "a frozen market", "all frozen", "the number"],
)
def test_what_does_not_touch_beliefs_leaves_the_rules_as_they_are(other: View) -> None:
    assert other.evidence.rules == seen().evidence.rules != 0


@pytest.mark.parametrize(
    "other",
    [
        seen(with_kinds(prior_mean=0.5)),
        seen(with_kinds(prior_strength=99.0)),
        seen(with_kinds(maturity_hours=99.0)),
        seen(msgspec.structs.replace(LEARNED, exposure=Exposure(half_life_hours=1.0))),
        seen(msgspec.structs.replace(LEARNED, markets={"oslo": Market(half_life_hours=1.0)})),
        seen(fit=some_fit(1, 50.0)),
        seen(fit=some_fit(1, 50.0, (1, None))),
    ],
    ids=["mean", "strength", "delay", "half-life", "half-life of a market", "a fit", "a fit of a market"],
)
def test_whatever_moves_posteriors_makes_other_rules(other: View) -> None:
    assert other.evidence.rules not in {0, seen().evidence.rules}


class Replica:
    """Believes by the rules of one view."""

    def __init__(self, view: View) -> None:
        self.view = view

    def believes(self, view: View) -> bool:
        return view.evidence.rules == self.view.evidence.rules


def open_tenancies(first: View) -> tuple[Tenancies, Replica]:
    tenancies, replica = Tenancies(), Replica(first)
    tenancies.heed(replica.believes)
    tenancies.publish(first)
    return tenancies, replica


def test_a_policy_is_followed_at_once_and_the_one_before_kept_until_the_replica_follows() -> None:
    first, second = seen(), seen(with_kinds(prior_strength=99.0), number=2)
    tenancies, replica = open_tenancies(first)
    assert tenancies.publish(second), "what watchers were told is void"
    assert (tenancies.view(TENANT), tenancies.before(TENANT)) == (second, first)
    assert not tenancies.publish(second)
    assert tenancies.before(TENANT) is first
    replica.view = second
    tenancies.publish(second)
    assert (tenancies.view(TENANT), tenancies.before(TENANT)) == (second, None)


def test_a_fit_is_followed_when_the_replica_has_it() -> None:
    first = seen(fit=some_fit(1, 50.0))
    tenancies, replica = open_tenancies(first)
    fitted = seen(fit=some_fit(2, 60.0), later_s=1.0)
    assert not tenancies.publish(fitted)
    kept = tenancies.view(TENANT)
    assert (kept.evidence, kept.read_at) == (first.evidence, NOW + 1.0)
    replica.view = fitted
    assert tenancies.publish(fitted)
    assert tenancies.view(TENANT) is fitted


def test_a_fit_that_never_reaches_the_replica_is_followed_all_the_same() -> None:
    tenancies, _ = open_tenancies(seen(fit=some_fit(1, 50.0)))
    late = seen(fit=some_fit(2, 60.0), later_s=FITS_WAIT_S + 0.1)
    assert tenancies.publish(late)
    assert tenancies.view(TENANT) is late


def test_whoever_shares_what_is_believed_waits_with_it() -> None:
    """By its own weights; one that believes otherwise is as it is."""
    first, fitted = seen(fit=some_fit(1, 50.0)), seen(fit=some_fit(2, 60.0))
    arm = replace(fitted, evidence=replace(fitted.evidence, weights=(9.0,)))
    other = replace(fitted, evidence=replace(fitted.evidence, rules=0))
    tenancies, _ = open_tenancies(first)
    tenancies.publish(
        replace(
            fitted,
            contender=Contender(1, "arm", 0.5, arm, believes_alike=True),
            shadow=Contender(2, "dark", 0.5, other, believes_alike=False),
        )
    )
    kept = tenancies.view(TENANT)
    assert kept.contender is not None
    assert kept.shadow is not None
    evidence = kept.contender.view.evidence
    assert (evidence.rules, evidence.weights) == (first.evidence.rules, (9.0,))
    assert kept.shadow.view is other


def test_without_a_replica_everything_is_followed_at_once_and_nothing_kept() -> None:
    tenancies = Tenancies()
    tenancies.publish(seen(fit=some_fit(1, 50.0)))
    fitted = seen(fit=some_fit(2, 60.0))
    tenancies.publish(fitted)
    assert (tenancies.view(TENANT), tenancies.before(TENANT)) == (fitted, None)


def test_a_policy_that_is_taken_back_before_the_replica_followed_needs_no_waiting() -> None:
    first = seen()
    tenancies, _ = open_tenancies(first)
    tenancies.publish(seen(with_kinds(prior_strength=99.0), number=2))
    again = seen(number=3)
    tenancies.publish(again)
    assert (tenancies.view(TENANT), tenancies.before(TENANT)) == (again, None)


def test_the_policy_before_decides_with_all_else_as_it_is_now() -> None:
    """Keys, the keeper's sign of life and feed shares are no policy's, and no reason to be degraded."""
    before, later = seen(), NOW + 600.0
    now = replace(
        with_epochs(
            seen(with_kinds(prior_strength=99.0), number=2), make_epoch(before, 7, (0.25,) * 4, later)
        ),
        tokens=Tokens.of(Keyring((SigningKey(8, b"n" * 32),))),
        beat=Beat(later, later),
        capped=Capped({5: later + 60.0}),
    )
    taken = before.in_place_of(now)
    assert (taken.revision, taken.evidence) == (before.revision, before.evidence)
    assert (taken.tokens, taken.epochs, taken.capped) == (now.tokens, now.epochs, now.capped)
    assert degraded(taken, later) == ("STATS_STALE",), "what is believed is of that time"
    assert "STORE_UNAVAILABLE" in degraded(before.in_place_of(now.unanswered()), later)


def test_the_policy_before_keeps_its_own_pauses_and_feeds_where_those_have_changed() -> None:
    before = replace(seen(), capped=Capped({5: NOW + 60.0}))
    feeds = {**LEARNED.feeds, "more": LEARNED.feeds["draw"]}
    policy = msgspec.structs.replace(with_kinds(prior_strength=99.0), feeds=feeds, caps=Caps(item_per_hour=3))
    now = with_epochs(seen(policy, number=2), make_epoch(seen(policy), 7, (0.2,) * 5))
    taken = before.in_place_of(now)
    assert (taken.epochs, taken.capped) == (before.epochs, before.capped)


def test_what_was_tried_is_not_tried_again_by_the_policy_before() -> None:
    def trying(view: View, number: int) -> View:
        arm = Contender(number, f"arm-{number}", 0.5, view, believes_alike=True)
        return replace(view, contender=arm, shadow=replace(arm, number=number + 1))

    before = trying(seen(), 1)
    now = replace(seen(with_kinds(prior_strength=99.0), number=2), beat=Beat(NOW + 9.0, NOW + 9.0))
    ended, other, same = (before.in_place_of(each) for each in (now, trying(now, 5), trying(now, 1)))
    assert (ended.contender, ended.shadow, other.contender, other.shadow) == (None, None, None, None)
    assert same.contender is not None
    assert same.contender.view.revision is before.revision
    assert same.contender.view.beat == now.beat

"""Every reason that is given is in the contract and on the page of errors, under its status."""

import grpc
import pytest
from google.rpc.status_pb2 import Status

from nearcast.v1.error_reason_pb2 import ErrorReason
from nearcast_catalogue.checking import Violation
from nearcast_catalogue.outcomes import Outcome
from nearcast_ledger.event import Unlearned
from nearcast_ledger.horizon import EventProblem
from nearcast_server.errors import InvalidRequestError, RequestError, UnavailableError
from nearcast_server.rpc.outcomes import to_outcome
from nearcast_server.rpc.status import CODES, MOST_DETAIL_BYTES, from_store, to_status
from nearcast_store import errors as store_errors
from nearcast_store.errors import (
    DataRefusedError,
    ExperimentRunningError,
    ExperimentTakenError,
    PositionsLostError,
    RequestReusedError,
    RevisionChangedError,
    StoreError,
)
from tests.contract import errorpage
from tests.contract.reasons import OTHERS, REASONS, error_classes, statuses, words

OF_POLICIES = (RevisionChangedError, RequestReusedError, ExperimentRunningError, ExperimentTakenError)


def test_every_word_in_capitals_is_a_reason_of_the_contract() -> None:
    unknown = [f"{place} {word}" for place, word, _ in words() if word not in REASONS | OTHERS]
    assert not unknown, "\n".join(unknown)


def test_the_page_of_errors_is_the_generated_one() -> None:
    assert errorpage.PAGE.read_text(encoding="utf-8") == errorpage.page(), (
        "run: python -m tests.contract.errorpage > docs/reference/errors.md"
    )


def test_every_reason_has_a_row_and_says_what_to_do() -> None:
    page = errorpage.PAGE.read_text(encoding="utf-8")
    assert set(errorpage.ADVICE) == REASONS
    for reason in REASONS:
        assert page.count(f"| `{reason}` |") == 1


def test_only_reasons_that_wait_for_later_are_given_by_nobody() -> None:
    page = errorpage.PAGE.read_text(encoding="utf-8")
    unused = {reason for reason in REASONS if f"| `{reason}` | {errorpage.RESERVED} |" in page}
    assert unused == REASONS - set(statuses()) == set()


def test_every_status_is_one_of_grpc() -> None:
    codes = {code for found in statuses().values() for code in found}
    assert codes <= {code.name for code in grpc.StatusCode}


def test_every_error_has_a_status_and_no_two_meanings() -> None:
    assert set(CODES) == error_classes()
    assert grpc.StatusCode.UNKNOWN not in CODES.values()
    assert len(set(CODES.values())) == len(CODES)


def test_every_failure_of_a_store_is_told_as_unavailable_but_those_that_are_our_fault() -> None:
    kinds = [
        kind
        for kind in vars(store_errors).values()
        if isinstance(kind, type) and issubclass(kind, StoreError) and kind is not StoreError
    ]
    for kind in kinds:
        told = from_store(kind("secret"))
        # The second happens to keepers only, the others are told by who changes or tries a policy.
        if kind in {DataRefusedError, PositionsLostError, *OF_POLICIES}:
            assert told is None
            continue
        assert isinstance(told, UnavailableError)
        assert told.reason in REASONS
        assert told.retry_after_s
        assert "secret" not in told.message


def test_what_the_ledger_judges_has_a_reason() -> None:
    assert {problem.value for problem in EventProblem} <= REASONS
    assert {reason.name for reason in Unlearned} - {"LEARNED"} <= REASONS


@pytest.mark.parametrize("code", ["OK", "INVALID_ARGUMENT", "NOT_FOUND", "ABORTED"])
def test_an_outcome_says_on_the_wire_what_it_says(code: str) -> None:
    outcome = Outcome(code, "ID_LENGTH", "too long", "item_id", "DROP")  # type: ignore[arg-type]
    told = to_outcome(outcome)
    assert told.code == grpc.StatusCode[code].value[0]
    assert (told.reason, told.field, told.message) == (
        ErrorReason.ERROR_REASON_ID_LENGTH,
        "item_id",
        "too long",
    )


def test_a_reason_that_the_contract_does_not_name_is_noticed() -> None:
    with pytest.raises(ValueError, match="NO_SUCH_REASON"):
        to_outcome(Outcome("OK", "NO_SUCH_REASON"))


@pytest.mark.parametrize("kind", sorted(error_classes(), key=str))
def test_details_stay_small_however_much_is_wrong(kind: type[RequestError]) -> None:
    if kind is InvalidRequestError:
        violations = [
            Violation(f"items[{place}]." + "f" * 500, "ID_LENGTH", "ü" * 900) for place in range(400)
        ]
        error: RequestError = InvalidRequestError(violations, {"max": "500"})
    else:
        error = kind("INTERNAL", "ü" * 2000, retry_after_s=1.5)
    code, message, details = to_status(error)
    assert code is CODES[kind]
    assert len(details) <= MOST_DETAIL_BYTES
    assert len(message) <= 512
    assert Status.FromString(details).details

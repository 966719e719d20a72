"""Numbers that no range holds, as an option."""

import pytest

from nearcast_cli.main import run

OPTIONS = {
    "days": ["simulate", "--steps", "5", "--days"],
    "guardrail": ["evaluate", "--policy", __file__, "--guardrail"],
    "minutes": ["simulate", "--live", "--minutes"],
    "expiry": ["keys", "create", "--expires-days"],
}


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e400"])
@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_what_is_not_finite_is_misunderstood(
    option: list[str], number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*option, number]) == 2
    assert "is not a finite number" in (told := capsys.readouterr().err) or "is not in the range" in told


def test_a_town_that_outlives_everybody_is_misunderstood(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--steps", "5", "--days", "1e308"]) == 2
    assert "is not in the range 0<x<=3650" in capsys.readouterr().err

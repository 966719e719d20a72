"""Files of policies as people have them: other editors, other encodings, far too long."""

from pathlib import Path

import pytest

from nearcast_cli.main import run

COMMANDS = {
    "check": ["policy", "check"],
    "diff": ["policy", "diff"],
    "apply": ["policy", "apply"],
    "preview": ["policy", "preview"],
    "split": ["experiment", "start", "one", "--policy"],
    "evaluate": ["evaluate", "--policy"],
    "simulate": ["simulate", "--policy"],
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_what_is_no_text_is_told_by_every_command(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.toml"
    file.write_bytes("[policy.slate]\ndefault_limit = 5\n".encode("utf-16"))
    assert run([*command, str(file)]) == 1
    told = capsys.readouterr()
    assert f"{file}: cannot be read: it is not UTF-8" in told.out + told.err


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_an_empty_file_is_a_slip_and_not_the_wish_for_all_defaults(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(" \n")
    assert run([*command, str(file)]) == 1
    told = capsys.readouterr()
    assert f"{file}: is empty: for a policy of all defaults write [policy]" in told.out + told.err


def test_a_text_that_could_not_be_applied_is_refused_by_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text("#" * 262_145)
    assert run(["policy", "check", str(file)]) == 1
    assert "must have at most 262144 characters, got 262145" in capsys.readouterr().out


def test_of_ten_thousand_problems_the_first_are_told_and_the_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "policy.toml"
    file.write_text("".join(f"k{number} = 1\n" for number in range(10_000)))
    assert run(["policy", "check", str(file)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 52
    assert lines[-2] == "Problem: … and 9950 more"
    assert lines[-1].endswith("cannot be applied: 10000 problems, 0 warnings.")
    assert run(["policy", "apply", str(file)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 52


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_bytes(b"\xef\xbb\xbf[policy.slate]\r\ndefault_limit = 5\r\n")
    assert run(["policy", "check", str(file)]) == 0

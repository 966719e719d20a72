"""What can be armed, and what is said of a text that arms nothing."""

import pytest

from nearcast_faultpoints.arming import Arming, ArmingError, Failpoint, read_arming


def test_no_text_arms_nothing() -> None:
    assert read_arming("") == {}


def test_each_part_arms_one_point() -> None:
    assert read_arming("keeper.after_read=kill, relay.before_apply=raise:0.25") == {
        Failpoint.KEEPER_AFTER_READ: Arming("kill"),
        Failpoint.RELAY_BEFORE_APPLY: Arming("raise", 0.25),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("keeper.after_lunch=kill", r"no point 'keeper.after_lunch'; there are gateway.after_parse, "),
        ("keeper.after_read", r"keeper.after_read cannot ''; it must be one of kill, raise, cut"),
        ("keeper.after_read=burn", r"cannot 'burn'"),
        ("keeper.after_read=kill:often", r"'often', it must be in \(0, 1\]"),
        ("keeper.after_read=kill:0", r"'0', it must be in"),
        ("keeper.after_read=kill:1.5", r"'1.5', it must be in"),
    ],
)
def test_whatever_else_is_said_with_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(ArmingError, match=f"NEARCAST_FAILPOINTS: .*{said}"):
        read_arming(text)

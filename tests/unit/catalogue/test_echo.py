import pytest

from nearcast_catalogue.echo import printable


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("", ""),
        ("cafe 1", "cafe 1"),
        ("kafé 🥐", "kafé 🥐"),
        ("a\x00b\nc", r"a\x00b\nc"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\u202eb\u2066c\u200fd", r"a\u202eb\u2066c\u200fd"),
        ("\u2028", r"\u2028"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("x" * 64, "x" * 64),
        ("x" * 65, "x" * 63 + "…"),
        ("\x00" * 1000, r"\x00" * 15 + r"\x0" + "…"),
    ],
)
def test_value_is_shown_short_and_visible(value, shown):
    assert printable(value) == shown
    assert len(shown) <= 64
    assert shown.isprintable()

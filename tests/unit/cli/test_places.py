"""Places and times as people write them."""

import click
import pytest

from nearcast_cli.places import Milliseconds, Places


@pytest.mark.parametrize(
    ("text", "places"),
    [("0", (0,)), ("4,0, 1", (0, 1, 4)), ("0-3", (0, 1, 2, 3)), ("7,2-3,3", (2, 3, 7)), ("199", (199,))],
)
def test_places_are_lists_and_ranges(text: str, places: tuple[int, ...]) -> None:
    assert Places().convert(text, None, None) == places


@pytest.mark.parametrize("text", ["", "-1", "a", "3-1", "200", "0-200", "1,,2", "1.5"])
def test_what_is_no_place_is_named(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no place from 0 to 199; write 0,1,4 or 0-9"):
        Places().convert(text, None, None)


def test_times_are_whole_milliseconds() -> None:
    assert Milliseconds().convert("1200, 0", None, None) == (1200, 0)
    for text in ("", "1,", "-5", "1e3"):
        with pytest.raises(click.BadParameter, match="are no milliseconds"):
            Milliseconds().convert(text, None, None)

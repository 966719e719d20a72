"""LAT LON, where a minus sign is no option."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from nearcast_cli.coordinates import Degrees, PlaceCommand


@click.command(cls=PlaceCommand)
@click.argument("latitude", type=Degrees())
@click.argument("longitude", type=Degrees())
@click.option("--radius-m", type=float)
@click.option("--tag", multiple=True)
@click.option("--far", is_flag=True)
def place(latitude: float, longitude: float, radius_m: float | None, tag: tuple[str, ...], far: bool) -> None:
    click.echo(f"{latitude} {longitude} {radius_m} {list(tag)} {far}")


def said(*arguments: str) -> str:
    return CliRunner().invoke(place, arguments).output


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["-33.9", "151.2"], "-33.9 151.2 None [] False\n"),
        (["-33.9", "-70.6"], "-33.9 -70.6 None [] False\n"),
        (["59.91,", "10.75"], "59.91 10.75 None [] False\n"),
        (["--radius-m", "-5", "-1e1", "-.5"], "-10.0 -0.5 -5.0 [] False\n"),
        (["-33.9", "--tag", "-x", "151.2", "--far"], "-33.9 151.2 None ['-x'] True\n"),
        (["--", "-33.9", "151.2"], "-33.9 151.2 None [] False\n"),
        (["nan", "-inf"], "nan -inf None [] False\n"),
    ],
)
def test_numbers_are_coordinates_wherever_they_stand(arguments: list[str], expected: str) -> None:
    assert said(*arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["1", "2", "--bogus"], "No such option '--bogus'"),
        (["--radius", "5", "1", "2"], "No such option '--radius'. Did you mean '--radius-m'?"),
        (["1", "2", "--radius=5"], "No such option '--radius'. Did you mean '--radius-m'?"),
        (["1", "-x"], "No such option '-x'"),
        (["1", "2", "3"], "unexpected extra argument (3)"),
        (["1", "2", "-3"], "unexpected extra argument (-3)"),
        (["north", "2"], "'north' is no number of degrees"),
        (["-33.9"], "Missing argument 'LONGITUDE'"),
    ],
)
def test_what_is_no_number_is_refused_by_name(arguments: list[str], expected: str) -> None:
    assert expected in said(*arguments)


def test_the_name_of_a_file_is_no_coordinate(tmp_path: Path) -> None:
    assert "is no number of degrees" in said(str(tmp_path), "2")

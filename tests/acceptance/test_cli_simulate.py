"""`nearcast simulate` as a user runs it, with towns small in time."""

from pathlib import Path

import pytest

from nearcast_cli.livetown import TownReport, read_report, tell, write_report
from nearcast_geo.point import Point
from nearcast_town.measure import Meter
from nearcast_town.report import Report
from tests.acceptance.running import answer, nearcast


@pytest.mark.slow
def test_towns_are_lived_side_by_side_and_reported_in_order() -> None:
    document = answer("simulate", "--steps", "150", "--seeds", "2", "--first-seed", "4", "--days", "1")
    assert document["seeds"] == [4, 5]
    assert [report["overall"]["questions"] for report in document["reports"]] == [150, 150]
    assert document["click_test_last_fifth"]["expected_random"] > 0


def test_one_town_is_told_with_its_curve() -> None:
    done = nearcast("simulate", "--steps", "100", "--town-at", "-33.9,151.2")
    assert done.returncode == 0, done.stderr
    assert "gap closed over time" in done.stdout
    assert "one-sided p" in done.stdout


def test_two_policies_live_through_the_same_towns_and_are_compared(tmp_path: Path) -> None:
    """Ordering by age alone learns nothing, and is told to be worse than nothing but draws."""
    draws, newest, page = tmp_path / "draws.toml", tmp_path / "newest.toml", tmp_path / "page.html"
    draws.write_text('[policy.feeds.draw]\norder = "draw"\n')
    newest.write_text('[policy.feeds.newest]\norder = "newest"\n')
    given = ("--policy", newest, "--against", draws, "--html", page)
    document = answer("simulate", *given, "--steps", "250", "--seeds", "2", "--days", "1", "--jobs", "1")
    assert document["seeds"] == [1, 2]
    assert {report["seed"] for report in document["new"]} == {1, 2}
    missed = document["measures"]["regret"]
    assert missed["new"]["mean"] > missed["old"]["mean"] > 0
    assert missed["difference"]["mean"] == pytest.approx(missed["new"]["mean"] - missed["old"]["mean"])
    text = page.read_text(encoding="utf-8")
    assert text.count("<svg") == 2
    assert "clicks missed per 1,000 questions" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--html", "page.html"), "--html shows a comparison"),
        (("--against", "default", "--live"), "exclude each other"),
        (("--against", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_options_that_do_not_go_together_are_misunderstood(options: tuple[str, ...], said: str) -> None:
    done = nearcast("simulate", "--steps", "1", *options)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_place_that_is_none_is_misunderstood() -> None:
    done = nearcast("simulate", "--steps", "1", "--town-at", "99,0")
    assert done.returncode == 2
    assert "latitude" in done.stderr


def test_what_a_town_tells_is_read_as_it_was_written(tmp_path: Path) -> None:
    report: TownReport = tell(Report.of(3, Meter(0.0, 60.0)), Point(59.91, 10.75), 100.0)
    assert report.minute_two is None
    write_report(tmp_path / "town.json", report)
    assert read_report(tmp_path / "town.json") == report
    assert read_report(tmp_path / "none.json") is None

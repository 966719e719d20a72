"""How much is missed while it is learned, beside other ways: `python -m benchmarks.regret`.

Fixed seeds, so the same figures each time. Goals are judged with ten towns or more; a missed one is told.
The exit status is 1 where true rates do not lie evenly in their posteriors: that would be a fault.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.events.report import finish, print_table, progress
from benchmarks.goals import Row
from benchmarks.regret import oslo
from benchmarks.regret.believing import courses
from benchmarks.regret.calibration import LIMIT, calibrations
from benchmarks.regret.comparing import Lives, Standing, rows, standings
from benchmarks.regret.plotting import plots
from benchmarks.regret.ways import CLICKED, NAMES, NEARCAST, OSLO, REWARD, TOWN, Lived, live_all
from nearcast_cli.policyfile import read_policy_file
from nearcast_config.policytext import load_policy_text
from nearcast_config.problems import SettingsError
from nearcast_town.report import Report

STEPS, DAYS, SEEDS = 10_000, 14.0, 20
QUICK_STEPS, QUICK_SEEDS = 1_000, 2
SPOTS, ANSWERS_PER_SPOT = (40, 4), (150, 40)
"""Of the calibration, whole and quick."""
UNMEASURED = (
    "people: the town's look at what they are shown as it was written down",
    "other traffic: with more questions per item everybody's regret is more the price of trying out",
    "markets, several processes and late statistics: one process, read every minute of the town's time",
)


def _lived(lives: Sequence[Lived], jobs: int | None) -> dict[str, Lives]:
    found: dict[str, dict[str, list[Report]]] = {}
    for life in lives:
        found.setdefault(life.place, {}).setdefault(life.way, [])
    for done, (life, report) in enumerate(live_all(lives, jobs), 1):
        found[life.place][life.way].append(report)
        if life.way not in NAMES[1:]:
            gap = f"gap closed {report.last.gap_closed:.3f}"
            progress(f"{done} of {len(lives)}: {life.way}, {life.place}, seed {life.seed}, {gap}")
    for ways in found.values():
        for reports in ways.values():
            reports.sort(key=lambda report: report.seed)
    return {place: dict(ways) for place, ways in found.items()}


def _policies(files: Sequence[Path]) -> dict[str, str | None]:
    """What each file says, by the name of its way; nothing for the ways that are always lived."""
    policies: dict[str, str | None] = dict.fromkeys(NAMES)
    for file in files:
        try:
            text = read_policy_file(file)
            load_policy_text(text, str(file))
        except SettingsError as error:
            raise click.ClickException(str(error)) from error
        policies[f"{NEARCAST}, {file}"] = text
    return policies


def _places(place: str) -> list[str]:
    wanted = {"town": [TOWN], "oslo": [OSLO], "both": [TOWN, OSLO]}[place]
    if OSLO in wanted and not oslo.FOLDER.is_dir():
        progress(f"skipped: {oslo.ABSENT}")
        return [TOWN]
    return wanted


def _print(standing: Sequence[Standing], found: Sequence[Row]) -> None:
    print_table(
        "Missed, and nearcast's over each way's own, town by town, with its interval of 95 %",
        ("towns", "way", "number", "gap closed, last 20 %", "missed", "ratio", "from", "to"),
        [
            (each.place, each.way, each.towns, each.gap_closed_last_fifth, each.regret,
             each.ratio, each.ratio_low, each.ratio_high)
            for each in standing
        ],
    )  # fmt: skip
    print_table(
        "Goals",
        ("what", "against", "is", "must be", "reached"),
        [
            (row.what, row.against, row.ratio, f"{row.bound} {row.goal:g}", "yes" if row.reached else "NO")
            for row in found
            if row.goal is not None
        ],
    )


def _drawn(out: Path, drawn: Sequence[tuple[str, str]]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, text in drawn:
        (out / name).write_text(text, encoding="utf-8")


@click.command()
@click.option("--seeds", default=SEEDS, show_default=True, type=click.IntRange(min=1), help="How many towns.")
@click.option(
    "--steps", default=STEPS, show_default=True, type=click.IntRange(min=100), help="Questions in each."
)
@click.option("--jobs", type=click.IntRange(min=1), help="Lives at a time; unset: one per core.")
@click.option(
    "--place",
    type=click.Choice(["town", "oslo", "both"]),
    default="both",
    show_default=True,
    help="The town, real listings as items, or both.",
)
@click.option(
    "--wanted",
    type=click.Choice([REWARD, CLICKED]),
    default=REWARD,
    show_default=True,
    help="Views, saves and applies by the weights of the default policy, or views alone.",
)
@click.option(
    "--policy",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Also live with this policy, as a way named for the file; may be given several times.",
)
@click.option(
    "--quick", is_flag=True, help="Two towns of 1,000 questions: half a minute, and nothing judged."
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Keep plots here.")
@click.option("--json", "as_json", is_flag=True)
def main(quick: bool, out: Path | None, as_json: bool, **asked: Any) -> None:
    """About fifteen minutes on two cores that have nothing else to do."""
    seeds, steps, place = asked["seeds"], asked["steps"], asked["place"]
    if quick:
        seeds, steps, place = QUICK_SEEDS, QUICK_STEPS, "town"
    policies = _policies(asked["policy"])
    all_lives = [
        Lived(way, where, seed, steps, DAYS, asked["wanted"], policy)
        for where in _places(place)
        for way, policy in policies.items()
        for seed in range(1, seeds + 1)
    ]
    lives = _lived(all_lives, asked["jobs"])
    standing = [each for place, found in lives.items() for each in standings(place, found)]
    progress("what is believed of four items")
    believed = asyncio.run(courses(1, steps, DAYS))
    progress("true rates among draws of their posteriors")
    calibrated = asyncio.run(calibrations(SPOTS[quick], ANSWERS_PER_SPOT[quick]))
    found = [*rows(standing)]
    if out is not None:
        _drawn(out, [*plots(lives, believed, calibrated, steps)])
    if not as_json:
        _print(standing, found)
        print_table(
            f"Ranks of true rates among draws of their posteriors; chi-square must stay below {LIMIT:g}",
            ("kind", "items", "chi-square"),
            [(each.kind, sum(each.bins), each.chi_square) for each in calibrated],
        )
    figures = {
        "rows": found,
        "wanted": asked["wanted"],
        "data": f"{seeds} towns, {steps:,} questions over {DAYS:g} days each, seeds from 1",
        "standings": standing,
        "calibrations": calibrated,
        "beliefs": believed,
    }
    finish(as_json, figures, UNMEASURED)
    if not all(each.is_even for each in calibrated):
        raise SystemExit(1)


if __name__ == "__main__":
    main()

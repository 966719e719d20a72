"""Does the suite see a mistake? `python -m tests.faults.mutants [WORD…]` makes each in a copy."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import click

from tests.faults.mutations import MUTATIONS, Change, Mutation

ROOT = Path(__file__).resolve().parents[2]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "node_modules")
FAILED_TESTS = 1
LONGEST_S = 240


@click.command()
@click.argument("words", nargs=-1)
def main(words: Sequence[str]) -> None:
    """Make each mistake whose name has one of the WORDS, or all of them; exit 1 if one is not seen."""
    chosen = [each for each in MUTATIONS if not words or any(word in each.name for word in words)]
    if gone := [line for mutation in chosen for line in misplaced(mutation)]:
        raise SystemExit("\n".join(gone))
    click.echo("| Mistake | Seen by | Seen | Seconds |\n|---|---|---|---|")
    survivors = sum(not _try(mutation) for mutation in chosen)
    click.echo(f"\n{len(chosen) - survivors} of {len(chosen)} seen")
    sys.exit(1 if survivors else 0)


def _try(mutation: Mutation) -> bool:
    started = time.monotonic()
    seen, last_words = is_seen(mutation)
    took_s = time.monotonic() - started
    test = mutation.test.rpartition("::")[2]
    click.echo(f"| {mutation.name} | `{test}` | {'yes' if seen else 'NO'} | {took_s:.0f} |")
    if not seen:
        click.echo(last_words, err=True)
    return seen


def is_seen(mutation: Mutation) -> tuple[bool, str]:
    """Whether its test fails with the mistake and not without it; and the end of what pytest wrote."""
    status, text = without_mistakes(mutation.test)
    if status != 0:
        return False, f"it fails without the mistake too:\n{text}"
    with copied() as copy:
        for change in mutation.changes:
            path = copy / change.path
            path.write_text(mutated(change, path.read_text(encoding="utf-8")), encoding="utf-8")
        status, text = run(copy, mutation.test)
    return status == FAILED_TESTS, text


@cache
def without_mistakes(test: str) -> tuple[int, str]:
    with copied() as copy:
        return run(copy, test)


def misplaced(mutation: Mutation) -> Iterator[str]:
    """What the checkout no longer holds exactly once, in words."""
    for change in mutation.changes:
        times = (ROOT / change.path).read_text(encoding="utf-8").count(change.old)
        if times != 1:
            yield f"{mutation.name!r}: {change.path} holds {times} times, not once:\n{change.old}"


def mutated(change: Change, text: str) -> str:
    """The text with the mistake; ValueError when there is no such place."""
    if text.count(change.old) != 1:
        raise ValueError(f"{change.path} holds {text.count(change.old)} times, not once:\n{change.old}")
    return text.replace(change.old, change.new)


def run(copy: Path, test: str) -> tuple[int, str]:
    """Exit status and last words of pytest on the copy, whose rooms come before those of the environment."""
    rooms = [*sorted(path.parent for path in copy.glob("*/nearcast_*/")), copy / "protos"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, rooms)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", test],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_S,
    )
    return done.returncode, done.stdout[-3000:]


@contextmanager
def copied() -> Iterator[Path]:
    """The checkout without what tools make."""
    with tempfile.TemporaryDirectory(prefix="nearcast-mutant-") as place:
        copy = Path(place, "checkout")
        shutil.copytree(ROOT, copy, ignore=LEFT_OUT)
        yield copy


if __name__ == "__main__":
    main()

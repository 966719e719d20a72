"""Both policies on the logged requests: what they would have earned, place by place and market by market."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from nearcast_bandit.arrays import Floats, Integers
from nearcast_bandit.evaluation.bootstrap import Resampling
from nearcast_bandit.evaluation.logged import ShownItems
from nearcast_bandit.evaluation.report import Evaluation, evaluate
from nearcast_bandit.evaluation.slates import Chances, SlateRows
from nearcast_cli.evaluating.gathering import Evidence, LeftOut
from nearcast_cli.evaluating.progress import Noticed
from nearcast_cli.evaluating.question import Question
from nearcast_cli.evaluating.tasks import Task
from nearcast_store.markets.atlas import Atlas

_OF_A_MARKET = Resampling(200)
_MOST_MARKETS = 20
# So many candidates times places take half a minute; fewer are done before other processes have begun.
_WORTH_PROCESSES = 300_000
# What one process is given at a time, by the same measure: some seconds, so that others hear of it.
_AT_ONCE = 30_000


class Judged(NamedTuple):
    """A record with its rows."""

    task: Task
    rows: SlateRows


@dataclass(frozen=True, slots=True, eq=False)
class MarketReport:
    """One market; "" is everything outside of any."""

    market_id: str
    requests: int
    current: Evaluation
    wanted: Evaluation


@dataclass(frozen=True, slots=True, eq=False)
class ItemReport:
    """`wanted` is judged against `current`, the policy in force on the same requests.

    `explored` and `unanswered` count requests, the latter those of which nobody told anything; `days` is how
    long it took to log them.
    """

    current: Evaluation
    wanted: Evaluation
    weights: Floats
    markets: tuple[MarketReport, ...]
    explored: int
    unanswered: int
    days: float


def judge_items(
    question: Question,
    evidence: Evidence,
    atlas: Atlas,
    tasks: Sequence[Task],
    noticed: Noticed,
    processes: int = 1,
) -> ItemReport | None:
    """None when no record is left; what does not fit together is left out and counted."""
    judged = []
    for number, (task, rows) in enumerate(_worked_out(tasks, question.draws, processes), 1):
        if rows is None:
            evidence.left_out[LeftOut.OTHER_RULES] += 1
        else:
            judged.append(Judged(task, rows))
        noticed("judging", number, len(tasks))
    return _report(question, evidence, atlas, judged) if judged else None


def _worked_out(tasks: Sequence[Task], draws: int, processes: int) -> Iterator[tuple[Task, SlateRows | None]]:
    known = Chances(draws)
    if processes < 2 or not _is_worth_processes(tasks):
        yield from ((task, task.rows(known)) for task in tasks)
        return
    parts = list(_parts(tasks))
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        for part, rows in zip(parts, pool.map(partial(_rows_of, draws), parts), strict=True):
            yield from zip(part, rows, strict=True)


def _rows_of(draws: int, tasks: Sequence[Task]) -> list[SlateRows | None]:
    known = Chances(draws)
    return [task.rows(known) for task in tasks]


def _parts(tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
    part: list[Task] = []
    work = 0
    for task in tasks:
        part.append(task)
        work += _work(task)
        if work >= _AT_ONCE:
            yield part
            part, work = [], 0
    if part:
        yield part


def _work(task: Task) -> int:
    return task.model.size * len(task.record.outcome.postings)


def _is_worth_processes(tasks: Sequence[Task]) -> bool:
    return sum(map(_work, tasks)) >= _WORTH_PROCESSES


def _report(question: Question, evidence: Evidence, atlas: Atlas, judged: Sequence[Judged]) -> ItemReport:
    current, wanted = _logs(evidence, judged)
    facts = [each.task.record.circumstances for each in judged]
    moments = [fact.decided_at for fact in facts]
    numbers = np.array([fact.market for fact in facts])
    return ItemReport(
        evaluate(current, question.gate),
        evaluate(wanted, question.gate, baseline=current),
        wanted.weight,
        tuple(_markets(question, atlas, numbers, (current, wanted))),
        explored=sum(each.task.record.outcome.explore for each in judged),
        unanswered=sum(fact.request_id not in evidence.answered for fact in facts),
        days=(max(moments) - min(moments)) / 86_400,
    )


def _markets(
    question: Question, atlas: Atlas, numbers: Integers, logs: tuple[ShownItems, ShownItems]
) -> Iterator[MarketReport]:
    known, counts = np.unique(numbers, return_counts=True)
    if known.size < 2:
        return
    for place in np.argsort(-counts, kind="stable")[:_MOST_MARKETS]:
        current, wanted = (log.only((numbers == known[place])[log.request]) for log in logs)
        yield MarketReport(
            atlas.id_of(int(known[place])),
            int(counts[place]),
            evaluate(current, question.gate, _OF_A_MARKET),
            evaluate(wanted, question.gate, _OF_A_MARKET, current),
        )


def _logs(evidence: Evidence, judged: Sequence[Judged]) -> tuple[ShownItems, ShownItems]:
    """The same rows for the policy in force and for the one that is wanted."""
    sizes = [each.rows.logged.size for each in judged]
    position = np.concatenate([each.rows.places + 1 for each in judged])
    reward = np.array([earned for each in judged for earned in _rewards(evidence, each)])
    # Whoever has the same number in the same epoch is the same session: the feed goes by it.
    sessions = np.unique([each.task.record.choice.unit for each in judged], return_inverse=True)[1]
    modelled = np.concatenate([each.rows.modelled for each in judged])
    attention = _attention(position, reward, modelled)
    logs = []
    for side in (0, 1):
        targets = [each.rows.targets[side] for each in judged]
        unsupported = np.concatenate([each.unsupported for each in targets])
        # Places that a policy does not have are no rows of it.
        shows = np.concatenate([each.shows for each in targets])
        logs.append(
            ShownItems(
                session=np.repeat(sessions, sizes),
                request=np.repeat(np.arange(len(judged)), sizes),
                position=position,
                reward=reward,
                logged=np.concatenate([each.rows.logged for each in judged]),
                target=np.concatenate([each.target for each in targets]),
                unsupported=np.minimum(unsupported, 1.0),
                modelled=modelled * attention,
                expected=np.concatenate([each.expected for each in targets]) * attention,
            ).only(shows)
        )
    return logs[0], logs[1]


def _rewards(evidence: Evidence, judged: Judged) -> Iterator[float]:
    record = judged.task.record
    for place in judged.rows.places.tolist():
        key = record.circumstances.request_id, record.outcome.postings[place]
        yield evidence.earned.get(key, 0.0)


def _attention(position: Integers, reward: Floats, modelled: Floats) -> Floats:
    """By row, how much of what was expected came at its position: a model need not be right, only near."""
    earned, expected = np.bincount(position, reward), np.bincount(position, modelled)
    share = np.divide(earned, expected, out=np.zeros(earned.size), where=expected > 0)
    by_row: Floats = share[position]
    return by_row

"""What is sent on a turn, what is kept, and what is sent again."""

import threading
from collections.abc import Iterator

import pytest

from nearcast.v1.event_pb2 import Event
from nearcast_cli import outbox
from nearcast_cli.eventrows import MOST_BATCH_BYTES, EventRow, RefusedEvent, read_events
from nearcast_cli.outbox import MOST_WAITING, Outbox


def row(line: int, size_bytes: int = 10) -> EventRow:
    return EventRow(line, Event(kind="view"), size_bytes)


def filled(rows: Iterator[EventRow | RefusedEvent] | list[EventRow], window: int = 3) -> tuple[Outbox, int]:
    made = Outbox()
    made.fill(rows)
    turn = made.begin()
    made.welcome(window, 100)
    return made, turn


def lines(batch: outbox.Batch) -> list[int]:
    return [row.line for row in batch.rows]


def test_batches_have_as_many_events_as_advised_and_as_many_bytes_as_a_message_takes() -> None:
    rows = [row(number) for number in range(1, 151)] + [row(151, MOST_BATCH_BYTES), row(152)]
    made, turn = filled(rows, window=8)
    sizes = [len(batch.rows) for batch in made.batches(turn)]
    assert sizes == [100, 50, 1, 1]


def test_no_more_than_the_window_is_sent_before_an_ack() -> None:
    made, turn = filled([row(number) for number in range(1, 501)], window=2)
    sending = made.batches(turn)
    assert [next(sending).sequence for _ in range(2)] == [1, 2]
    third: list[int] = []
    waiting = threading.Thread(target=lambda: third.append(next(sending).sequence))
    waiting.start()
    waiting.join(0.2)
    assert third == []
    assert lines(made.acknowledge(1, 100)) == list(range(1, 101))
    waiting.join(5)
    assert third == [3]


def test_a_new_turn_begins_with_what_has_no_ack_and_ends_the_turn_before() -> None:
    made, turn = filled([row(number) for number in range(1, 401)], window=3)
    before = made.batches(turn)
    assert [next(before).sequence for _ in range(3)] == [1, 2, 3]
    made.acknowledge(1, 100)
    made.end()
    assert list(before) == []
    assert made.unacknowledged() == 2
    turn = made.begin()
    made.welcome(3, 100)
    again = made.batches(turn)
    assert [(batch.sequence, lines(batch)[0]) for batch in (next(again), next(again), next(again))] == [
        (2, 101),
        (3, 201),
        (4, 301),
    ]


def test_before_the_welcome_one_batch_is_sent() -> None:
    made = Outbox()
    made.fill([row(1), row(2)])
    sending = made.batches(made.begin())
    assert lines(next(sending)) == [1]
    made.welcome(8, 100)
    assert lines(next(sending)) == [2]
    assert list(sending) == []
    assert made.wait_for_more()
    made.acknowledge(1, 100)
    made.acknowledge(2, 100)
    assert not made.wait_for_more()


def test_smaller_advice_makes_smaller_batches() -> None:
    made, turn = filled([row(number) for number in range(1, 201)], window=8)
    sending = made.batches(turn)
    assert len(next(sending).rows) == 100
    made.acknowledge(1, 30)
    assert [len(batch.rows) for batch in sending] == [30, 30, 30, 10]


def test_what_reads_waits_when_nothing_is_sent() -> None:
    made = Outbox()
    read: list[int] = []

    def rows() -> Iterator[EventRow]:
        for number in range(MOST_WAITING + 100):
            read.append(number)
            yield row(number)

    filling = threading.Thread(target=made.fill, args=(rows(),), daemon=True)
    filling.start()
    filling.join(1.0)
    assert filling.is_alive()
    assert len(read) == MOST_WAITING + 1
    turn = made.begin()
    made.welcome(64, 500)
    assert sum(len(batch.rows) for batch in made.batches(turn)) == MOST_WAITING + 100
    filling.join(5)


def test_a_failure_to_read_is_told_after_what_was_read_is_sent() -> None:
    def rows() -> Iterator[EventRow]:
        yield row(1)
        raise OSError("the disk is gone")

    made, turn = filled(rows())
    assert [lines(batch) for batch in made.batches(turn)] == [[1]]
    assert made.wait_for_more()
    made.acknowledge(1, 100)
    with pytest.raises(OSError, match="the disk is gone"):
        made.wait_for_more()


def test_an_ack_of_another_batch_is_noticed() -> None:
    made, turn = filled([row(1)])
    next(made.batches(turn))
    with pytest.raises(ValueError, match="ack of 7 where 1"):
        made.acknowledge(7, 100)


def test_lines_are_read_as_events_and_others_are_told_with_their_place() -> None:
    good, unknown, no_json, large = read_events(
        [
            b'{"kind": "view", "eventId": "a", "item_id": "b"}\n',
            b"\n",
            b'{"kind": "view", "when": 5}\n',
            b"view\n",
            b'{"kind": "' + b"x" * MOST_BATCH_BYTES + b'"}\n',
        ]
    )
    assert isinstance(good, EventRow)
    assert (good.line, good.event) == (1, Event(kind="view", event_id="a", item_id="b"))
    assert isinstance(unknown, RefusedEvent)
    assert (unknown.line, unknown.reason, unknown.message) == (
        3,
        "MALFORMED_MESSAGE",
        'Event has no field named "when"',
    )
    assert isinstance(no_json, RefusedEvent)
    assert (no_json.line, no_json.message) == (4, "must be one JSON object per line")
    assert isinstance(large, RefusedEvent)
    assert (large.line, large.reason) == (5, "EVENT_TOO_LARGE")

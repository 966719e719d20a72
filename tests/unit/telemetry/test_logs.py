"""Lines that a machine or a person can read, and that give nothing away."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from nearcast_telemetry.logs import configure, logger, redact


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the lines go; the root logger is put back afterwards."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for handler in handlers:  # or `force` would close what pytest captures with
        root.removeHandler(handler)
    yield io.StringIO()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


def test_lines_of_a_worker_name_it(stream: io.StringIO) -> None:
    configure("info", "json", stream, worker="2")
    logger("gateway").info("gateway.ready")
    assert json.loads(stream.getvalue())["worker"] == "2"
    configure("info", "text", stream, worker="2")
    logger("gateway").info("gateway.ready")
    assert stream.getvalue().splitlines()[1].endswith("gateway[2]: gateway.ready")


def test_json_has_one_object_per_line_with_its_fields(stream: io.StringIO) -> None:
    configure("info", "json", stream)
    logger("keeper").info("events.folded", counted=3, seconds=0.25, note="two\nlines", odd=float("nan"))
    (line,) = stream.getvalue().splitlines()
    record = json.loads(line)
    assert record.pop("time").endswith("Z")
    assert record == {
        "level": "info",
        "part": "keeper",
        "event": "events.folded",
        "counted": 3,
        "seconds": 0.25,
        "note": "two\nlines",
        "odd": "nan",
    }


def test_text_quotes_what_a_reader_could_misread(stream: io.StringIO) -> None:
    configure("info", "text", stream)
    logger("keeper").warning("log.away", retry_in_s=0.5, cause=OSError("no route"), empty="")
    assert stream.getvalue().endswith(
        'warning keeper: log.away retry_in_s=0.5 cause="OSError: no route" empty=""\n'
    )


def test_a_level_below_the_least_is_not_written(stream: io.StringIO) -> None:
    configure("warning", "json", stream)
    logger("keeper").info("events.folded")
    assert stream.getvalue() == ""


def test_a_field_cannot_replace_the_event(stream: io.StringIO) -> None:
    configure("info", "json", stream)
    logger("keeper").info("events.folded", event="forged", level="forged")
    record = json.loads(stream.getvalue())
    assert (record["event"], record["level"]) == ("events.folded", "info")


def test_an_error_carries_its_traceback_without_passwords(stream: io.StringIO) -> None:
    configure("info", "json", stream)
    try:
        raise OSError("cannot reach postgresql://ann:hunter2@db/x")
    except OSError as error:
        logger("keeper").error("store.away", cause=error)
    assert "hunter2" not in stream.getvalue()
    assert "test_logs.py" in json.loads(stream.getvalue())["traceback"]


@pytest.mark.parametrize("name", ["token", "api_key", "password", "lat", "location"])
def test_secrets_and_exact_places_are_never_written(stream: io.StringIO, name: str) -> None:
    configure("info", "json", stream)
    logger("gateway").info("call.done", **{name: "59.913868"})
    assert json.loads(stream.getvalue())[name] == "***"


def test_lines_of_libraries_are_kept_in_form(stream: io.StringIO) -> None:
    configure("info", "json", stream)
    logging.getLogger("redis").warning("lost %s", "redis://:hunter2@host:6379/0")
    record = json.loads(stream.getvalue())
    assert record["event"] == "log.line"
    assert record["message"] == "lost redis://:***@host:6379/0"


def test_the_pool_may_not_fill_the_log_while_postgres_is_away(stream: io.StringIO) -> None:
    configure("info", "json", stream)
    pool = logging.getLogger("asyncpg.pool")
    pool.warning("Failed to restore the pool connection floor; retrying")
    pool.warning("Pool.close() is taking over 60 seconds to complete.")
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == [
        "Pool.close() is taking over 60 seconds to complete."
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://ann:hunter2@db:5432/x", "postgresql://ann:***@db:5432/x"),
        ("postgresql://ann:p@ss/w:rd@db/x", "postgresql://ann:***@db/x"),
        ("redis://:hunter2@host/0 and more", "redis://:***@host/0 and more"),
        ("host=db password=hunter2 user=ann", "host=db password=*** user=ann"),
        ("host=db password='hun ter2' user=ann", "host=db password=*** user=ann"),
        ("postgresql://db/x?user=ann&password=hunter2&a=b", "postgresql://db/x?user=ann&password=***&a=b"),
        ("postgresql://ann@db:5432/x", "postgresql://ann@db:5432/x"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_redact_hides_passwords_and_nothing_else(given: str, expected: str) -> None:
    assert redact(given) == expected

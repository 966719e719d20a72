"""What a process writes about itself: one line per happening, named, with fields instead of prose."""

import json
import logging
import math
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, TextIO

HIDDEN = "***"

_SECRET_FIELDS = frozenset(
    {"api_key", "authorization", "key", "password", "secret", "token", "reward_token", "session_token"}
)
_PLACE_FIELDS = frozenset({"lat", "lon", "latitude", "longitude", "location", "center", "point"})
_URL_PASSWORD = re.compile(r"(?P<head>\b[a-z][a-z0-9+.-]*://[^\s/@:]*):\S*@", re.IGNORECASE)
_SETTING_PASSWORD = re.compile(
    r"(?P<head>\b(?:password|passwd|pwd|secret)\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&]+)", re.IGNORECASE
)
# The pool says this several times a second while Postgres is away; whoever waits for it says it once.
_POOL_NOISE = "Failed to restore the pool connection floor"


def redact(text: str) -> str:
    """The text without the passwords of the URLs and DSNs in it."""
    return _SETTING_PASSWORD.sub(rf"\g<head>{HIDDEN}", _URL_PASSWORD.sub(rf"\g<head>:{HIDDEN}@", text))


class Log:
    """Writes happenings of one part of a process: `log.info("events.folded", counted=3)`."""

    def __init__(self, target: logging.Logger) -> None:
        self._target = target

    def debug(self, event: str, /, **fields: object) -> None:
        """For who looks for a fault."""
        self._write(logging.DEBUG, event, fields, None)

    def info(self, event: str, /, **fields: object) -> None:
        """As it should be."""
        self._write(logging.INFO, event, fields, None)

    def warning(self, event: str, /, **fields: object) -> None:
        """Not as it should be, and being dealt with."""
        self._write(logging.WARNING, event, fields, None)

    def error(self, event: str, /, cause: BaseException | None = None, **fields: object) -> None:
        """Somebody must look; the traceback of `cause` is written too."""
        self._write(logging.ERROR, event, fields, cause)

    def _write(
        self, level: int, event: str, fields: Mapping[str, object], cause: BaseException | None
    ) -> None:
        self._target.log(level, "%s", event, extra={"event": event, "fields": fields}, exc_info=cause)


def logger(part: str) -> Log:
    """The log of one part of nearcast."""
    return Log(logging.getLogger(f"nearcast.{part}"))


def configure(
    level: Literal["debug", "info", "warning", "error"],
    form: Literal["json", "text"],
    stream: TextIO | None = None,
    *,
    worker: str = "",
) -> None:
    """Send everything the process logs, libraries included, to one stream (standard error by default).

    Each line names the worker, if the process is one of several.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(worker) if form == "json" else ReadableLines(worker))
    handler.addFilter(_is_news)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def __init__(self, worker: str = "") -> None:
        super().__init__()
        self._worker = {"worker": worker} if worker else {}

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, part, event, worker, then the fields."""
        line: dict[str, object] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "part": _part(record),
            "event": _event(record),
            **self._worker,
        }
        line.update((name, value) for name, value in _fields(record).items() if name not in line)
        if record.exc_info:
            line["traceback"] = redact(self.formatException(record.exc_info))
        return json.dumps(line)


class ReadableLines(logging.Formatter):
    """Text for people."""

    def __init__(self, worker: str = "") -> None:
        super().__init__()
        self._worker = f"[{worker}]" if worker else ""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, part and event in columns, then the fields as name=value."""
        fields = " ".join(f"{name}={_shown(value)}" for name, value in _fields(record).items())
        part = f"{_part(record)}{self._worker}"
        line = f"{_moment(record)} {record.levelname.lower():7} {part}: {_event(record)}"
        traceback = "\n" + redact(self.formatException(record.exc_info)) if record.exc_info else ""
        return f"{line} {fields}".rstrip() + traceback


def _is_news(record: logging.LogRecord) -> bool:
    return not (record.name.startswith("asyncpg") and _POOL_NOISE in record.getMessage())


def _moment(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _part(record: logging.LogRecord) -> str:
    return record.name.removeprefix("nearcast.")


def _event(record: logging.LogRecord) -> str:
    """Other people's log calls have no event; theirs is said to be one line of text."""
    return str(getattr(record, "event", "log.line"))


def _fields(record: logging.LogRecord) -> dict[str, object]:
    given = getattr(record, "fields", None)
    if not isinstance(given, Mapping):
        return {"message": redact(record.getMessage())}
    return {str(name): _safe(str(name), value) for name, value in given.items()}


def _safe(name: str, value: object) -> object:
    if name in _SECRET_FIELDS or name in _PLACE_FIELDS:
        return HIDDEN
    if isinstance(value, int) or value is None or (isinstance(value, float) and math.isfinite(value)):
        return value
    return redact(str(_plain(value)))


def _plain(value: object) -> object:
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return str(value)


def _shown(value: object) -> str:
    text = str(value)
    return json.dumps(text, ensure_ascii=False) if not text or re.search(r'[\s"=]', text) else text

"""One line of NDJSON as a message, or what is wrong with it."""

import re
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import Message

M = TypeVar("M", bound=Message)

_HEAD = re.compile(r"^(Failed to (parse|load) \w+( field)?: )+")
_FIELD = re.compile(r"Failed to parse (\w+) field: ")
_UNKNOWN = re.compile(r'Message type "nearcast\.v1\.(\w+)" has no field')


class NoMessageError(Exception):
    """A line that is no message; `field` is the path of what is wrong with it, where it is known."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.field = field


def read_message(line: bytes, message: M) -> M:
    """The message, filled from the line. Raises NoMessageError."""
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NoMessageError(f"is not UTF-8: byte {error.start + 1} of the line cannot be read") from None
    if not text.lstrip().startswith("{"):
        raise NoMessageError("must be one JSON object per line")
    try:
        return json_format.Parse(text, message)
    except (json_format.ParseError, ValueError, RecursionError) as error:
        raise _unparsed(message.DESCRIPTOR.name, str(error)) from None


def _unparsed(name: str, said: str) -> NoMessageError:
    """The parser's words without its nesting; the field by its path."""
    said = said.split("\n", 1)[0].strip()
    path = re.search(rf" at \"?(?:{name})\.?(?P<path>[\w.\[\]]*)\"?\.*$", said)
    field = path["path"].rstrip(".") if path else ".".join(_FIELD.findall(said))
    plain = _HEAD.sub("", said[: path.start()] if path else said).rstrip(".")
    return NoMessageError(_UNKNOWN.sub(r"\1 has no field", plain), field)

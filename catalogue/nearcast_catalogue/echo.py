"""What is repeated to callers of what they sent: short, on one line, harmless to a terminal or a log."""

LIMIT = 64


def printable(value: str) -> str:
    """Return at most 64 visible characters; control, bidi and other unprintable ones are escaped."""
    shown = "".join(map(_visible, value[: LIMIT + 1]))
    return shown if len(shown) <= LIMIT else shown[: LIMIT - 1] + "…"


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")

"""The file of rejects: one JSON object for each entry that was refused."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from nearcast_cli.rows import BadRow


class Rejects:
    """Goes on at a length an earlier run knew, so that nothing stands in it twice; no path, no file."""

    def __init__(self, path: Path | None, length: int = 0) -> None:
        self._out = None
        if path is not None:
            self._out = path.open("r+b" if length and path.exists() else "wb")
            self._out.truncate(length)
            self._out.seek(0, 2)

    def add(self, rows: Iterable[BadRow]) -> int:
        """How many bytes there are with them."""
        if self._out is None:
            return 0
        for row in rows:
            self._out.write(f"{json.dumps(row.as_dict(), ensure_ascii=False)}\n".encode("utf-8", "replace"))
        self._out.flush()
        return self._out.tell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._out is not None:
            self._out.close()

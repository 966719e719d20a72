"""Where the files of a tenant's segment are, and what they are called."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Files here are memory; anybody may make directories in it.
_MEMORY = Path("/dev/shm")  # noqa: S108


def memory_directory(state_dir: Path, memory: Path = _MEMORY) -> Path:
    """A directory in memory that only this user has; where there is none, one in the state directory."""
    directory = memory / f"nearcast-{os.getuid()}"
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
    except OSError:
        return state_dir / "replica"
    is_ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return directory if is_ours else state_dir / "replica"


def cache_directory() -> Path:
    """Where this user keeps what can be made again."""
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path("~/.cache").expanduser()) / "nearcast" / "replica"


@dataclass(frozen=True, slots=True)
class Files:
    """The columns are in `directory`, which should be memory; ids and messages in `cold_directory`, on disk.

    The instance tells installations on one host apart.
    """

    directory: Path
    cold_directory: Path
    instance: str
    tenant_id: int

    @property
    def control(self) -> Path:
        """The page that names the generation to read; it stays while generations come and go."""
        return self.directory / f"{self._stem}.control"

    def generation(self, number: int) -> Path:
        """The columns of a generation."""
        return self.directory / f"{self._stem}.g{number}"

    def cold(self, name: str) -> Path:
        """Cold bytes, which one generation may hand on to the next."""
        return self.cold_directory / name

    def cold_name(self, number: int) -> str:
        """The name of the cold bytes that begin with a generation."""
        return f"{self._stem}.c{number}"

    @property
    def manifest(self) -> Path:
        """What names the files of the snapshot."""
        return self.cold_directory / f"{self._stem}.saved.json"

    def saved(self, name: str) -> Path:
        """A file of a snapshot."""
        return self.cold_directory / f"{self._stem}.saved.{name}"

    def numbers(self) -> Iterator[int]:
        """Of every generation that anything is left of."""
        for directory, kind in ((self.directory, "g"), (self.cold_directory, "c")):
            for path in directory.glob(f"{self._stem}.{kind}[0-9]*"):
                yield int(path.suffix[2:])

    def keep_only(self, number: int, cold: Path) -> None:
        """Unlink what other generations left; whoever has mapped it can go on reading it."""
        self._unlink_all_but({self.generation(number)}, self.directory, "g[0-9]*")
        self._unlink_all_but({cold}, self.cold_directory, "c[0-9]*")

    def remove_columns(self) -> None:
        """Unlink what is served; what was saved stays."""
        self._unlink_all_but(set(), self.directory, "g[0-9]*")
        self._unlink_all_but(set(), self.cold_directory, "c[0-9]*")

    def remove(self) -> None:
        """Unlink everything but the page that says so; what was saved too."""
        self.remove_columns()
        self._unlink_all_but(set(), self.cold_directory, "saved.*")

    def keep_saved(self, *kept: Path) -> None:
        """Unlink what former snapshots left."""
        self._unlink_all_but({self.manifest, *kept}, self.cold_directory, "saved.*")

    def _unlink_all_but(self, kept: set[Path], directory: Path, pattern: str) -> None:
        for path in directory.glob(f"{self._stem}.{pattern}"):
            if path not in kept:
                path.unlink(missing_ok=True)

    @property
    def _stem(self) -> str:
        return f"{self.instance}.t{self.tenant_id}"

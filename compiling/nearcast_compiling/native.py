"""Machine code by numba, kept on disk; without it, or where nothing can be kept, the numpy twins answer.

Read once, at import: NEARCAST_KERNEL = auto, or twin for no machine code at all; NEARCAST_KERNEL_CACHE_DIR
for the place, otherwise NUMBA_CACHE_DIR, the user's cache, and at last the temporary directory.
"""

import os
import platform
import stat
import tempfile
from collections.abc import Callable, Iterator
from hashlib import blake2b
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# numba looks only at the file of the outermost function to tell whether what it kept is still right.
ROOMS = ("nearcast_compiling", "nearcast_geo", "nearcast_bandit", "nearcast_replica")
_V3_FLAGS = {"avx2", "bmi1", "bmi2", "fma", "movbe", "f16c", "abm"}
_V4_FLAGS = _V3_FLAGS | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}


def _prepare() -> str:
    """Why there is no machine code, or nothing; numba reads its own settings when it is first imported."""
    wanted = os.environ.get("NEARCAST_KERNEL", "auto")
    if wanted == "twin":
        return "NEARCAST_KERNEL is twin"
    if wanted != "auto":
        return f"NEARCAST_KERNEL must be auto or twin, not {wanted[:20]!r}"
    if find_spec("numba") is None:
        return "numba is not installed"
    place = next((place for place in _places() if _is_ours(place)), None)
    if place is None:
        return "no directory to keep machine code in can be written; set NEARCAST_KERNEL_CACHE_DIR to one"
    os.environ["NUMBA_CACHE_DIR"] = str(place)
    os.environ.setdefault("NUMBA_CPU_NAME", _cpu_name())
    os.environ.setdefault("NUMBA_CPU_FEATURES", "")
    try:
        config: Any = import_module("numba.core.config")
    except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the twin can answer
        return f"numba cannot be imported: {type(error).__name__}"
    config.reload_config()
    return ""


def _places() -> Iterator[Path]:
    """Where to keep it, the best first; a change of any source goes to a directory of its own."""
    stamp = _stamp()
    for name in ("NEARCAST_KERNEL_CACHE_DIR", "NUMBA_CACHE_DIR"):
        given = os.environ.get(name)
        if given:
            path = Path(given)
            # A parent process has already made its choice known to its children.
            yield path if path.name == stamp else path / stamp
            return
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - never raises
    yield Path(cache) / "nearcast" / "kernel" / stamp
    yield Path(tempfile.gettempdir()) / f"nearcast-kernel-{os.getuid()}" / stamp


def _stamp() -> str:
    digest = blake2b(digest_size=8)
    for room in ROOMS:
        spec = find_spec(room)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            for path in sorted(Path(place).glob("*.py")):
                digest.update(path.name.encode() + path.read_bytes())
    return f"native-{digest.hexdigest()}"


def _is_ours(place: Path) -> bool:
    """Whether code can be kept there, and nobody else can put code there."""
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=place):
            pass
        return all(_is_private(each) for each in (place, place.parent))
    except OSError:
        return False


def _is_private(place: Path) -> bool:
    found = place.stat()
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return found.st_uid in {os.getuid(), 0} and (not others or bool(found.st_mode & stat.S_ISVTX))


def _cpu_name() -> str:
    """One name for all hosts that can run the same code, so that they can share what is kept."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        return "generic"
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return "x86-64"
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    if _V4_FLAGS.issubset(flags):
        return "x86-64-v4"
    return "x86-64-v3" if _V3_FLAGS.issubset(flags) else "x86-64"


WHY_NOT = _prepare()
IS_NATIVE = not WHY_NOT


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function as machine code, for other compiled functions; untouched where there is none."""
    return _native(function, no_cfunc_wrapper=True)


def compiled_inline(function: Callable[P, R]) -> Callable[P, R]:
    """As `compiled`, a part of whoever calls it: for what is called in a loop that matters."""
    return _native(function, no_cfunc_wrapper=True, forceinline=True)


def compiled_entry(function: Callable[P, R]) -> Callable[P, R]:
    """The function as machine code that Python may call: made at its first call, or loaded."""
    return _native(function, cache=True, no_cfunc_wrapper=True)


def _native(function: Callable[P, R], **options: bool) -> Callable[P, R]:
    if not IS_NATIVE:
        return function
    njit: Any = import_module("numba").njit
    native: Callable[P, R] = njit(error_model="numpy", **options)(function)
    return native

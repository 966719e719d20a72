"""The committed stubs are what the .proto files say."""

import subprocess
import sys
from pathlib import Path

from tests.quality.sources import ROOT

PATTERNS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi", "__init__.py", "py.typed")


def stubs(folder: Path) -> dict[str, str]:
    paths = [path for pattern in PATTERNS for path in folder.rglob(pattern)]
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def test_stubs_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "generate_stubs.py", "--out", tmp_path], check=True)
    committed, generated = stubs(ROOT / "protos"), stubs(tmp_path)
    differing = sorted(name for name in committed | generated if committed.get(name) != generated.get(name))
    assert not differing, "run tools/generate_stubs.py"


def test_every_stub_imports_by_the_path_of_its_proto() -> None:
    names = [
        path.relative_to(ROOT / "protos").with_suffix("") for path in (ROOT / "protos").rglob("*_pb2*.py")
    ]
    code = "".join(f"import {'.'.join(name.parts)}\n" for name in sorted(names))
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)

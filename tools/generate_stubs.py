"""Write the Python stubs of every .proto under protos/ beside it: messages, services and their types.

    .venv/bin/python tools/generate_stubs.py              regenerate in place
    .venv/bin/python tools/generate_stubs.py --out DIR    write the same tree elsewhere, to compare

The same .proto files give the same bytes wherever the checkout lies.
"""

import argparse
import sys
import sysconfig
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
STUB_PATTERNS = ("*_pb2.py", "*_pb2.pyi", "*_pb2_grpc.py", "*_pb2_grpc.pyi")


def proto_files(protos: Path) -> list[str]:
    """Every .proto below the folder, relative to it: the name fixes the import path inside the stubs."""
    return sorted(path.relative_to(protos).as_posix() for path in protos.rglob("*.proto"))


def protoc_arguments(protos: Path, out: Path, names: list[str]) -> list[str]:
    """The command line; google.rpc and google.api come from the installed googleapis-common-protos."""
    plugin = Path(sys.executable).parent / "protoc-gen-mypy_grpc"
    return [
        "protoc",
        f"-I{protos}",
        f"-I{files('grpc_tools') / '_proto'}",
        f"-I{sysconfig.get_path('purelib')}",
        f"--plugin=protoc-gen-mypy_grpc={plugin}",
        f"--python_out={out}",
        f"--pyi_out={out}",
        f"--grpc_python_out={out}",
        f"--mypy_grpc_out=quiet:{out}",
        *names,
    ]


def write_packages(out: Path, names: list[str]) -> None:
    """Make every folder of stubs a typed package, so that tools see the same tree as the interpreter."""
    for folder in sorted({parent for name in names for parent in Path(name).parents if parent.name}):
        (out / folder).mkdir(parents=True, exist_ok=True)
        (out / folder / "__init__.py").touch()
    for top in sorted({Path(name).parts[0] for name in names}):
        (out / top / "py.typed").touch()


def remove_services_of_messages(protos: Path, out: Path, names: list[str]) -> None:
    """Drop the empty service stubs that protoc writes for a file without a service."""
    for name in names:
        if "\nservice " not in (protos / name).read_text(encoding="utf-8"):
            for suffix in ("_pb2_grpc.py", "_pb2_grpc.pyi"):
                (out / name).with_name(Path(name).stem + suffix).unlink(missing_ok=True)


def remove_orphans(out: Path, names: list[str]) -> None:
    """Delete stubs whose .proto is gone."""
    stems = {Path(name).with_suffix("").as_posix() for name in names}
    for pattern in STUB_PATTERNS:
        for stub in out.rglob(pattern):
            stem = stub.relative_to(out).as_posix().rsplit("_pb2", 1)[0]
            if stem not in stems:
                stub.unlink()


def generate(protos: Path, out: Path) -> int:
    """Write all stubs below `out`; protoc's exit code, 0 for success."""
    names = proto_files(protos)
    if not names:
        sys.stderr.write(f"no .proto files below {protos}\n")
        return 1
    out.mkdir(parents=True, exist_ok=True)
    remove_orphans(out, names)
    code = int(protoc.main(protoc_arguments(protos, out, names)))
    if code == 0:
        write_packages(out, names)
        remove_services_of_messages(protos, out, names)
    return code


def main() -> int:
    parser = argparse.ArgumentParser(description="Generate the stubs committed beside the protos.")
    parser.add_argument("--protos", type=Path, default=ROOT / "protos", help="folder with the .proto files")
    parser.add_argument("--out", type=Path, help="where to write (default: beside the .proto files)")
    arguments = parser.parse_args()
    return generate(arguments.protos.resolve(), (arguments.out or arguments.protos).resolve())


if __name__ == "__main__":
    sys.exit(main())

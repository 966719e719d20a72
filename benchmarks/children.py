"""Modules of the benchmarks that run as processes of their own."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from benchmarks.machine import ROOT


def importable() -> dict[str, str]:
    """They lie beside the rooms and are no part of an installed nearcast: only this has them found."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@asynccontextmanager
async def spoken_to(module: str, job: object) -> AsyncIterator[Process]:
    """One that is given its job as JSON and reads and writes lines; it ends with us."""
    argv = (sys.executable, "-m", module, msgspec.json.encode(job).decode())
    process = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, cwd=ROOT, env=importable())
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

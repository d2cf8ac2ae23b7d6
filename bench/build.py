"""The C programs, compiled on the spot, and the folder where everything of a run goes."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE / "out"


def compiled(name: str) -> str:
    """The path of `c/NAME.c`, compiled with -O2 unless that has been done since it last changed."""
    source, program = HERE / "c" / f"{name}.c", OUT / "bin" / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["gcc", "-O2", "-Wall", "-o", os.fspath(program), os.fspath(source)], check=True)
    return os.fspath(program)

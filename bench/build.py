"""The C programs, compiled on the spot, and the folder where everything of a run goes."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE / "out"


LIBRARIES = {"tls": ("-lssl", "-lcrypto")}  # Debian's libssl-dev


def compiled(name: str) -> str:
    """The path of `c/NAME.c`, compiled with -O2 unless that has been done since it last changed."""
    source, program = HERE / "c" / f"{name}.c", OUT / "bin" / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        command = ["gcc", "-O2", "-Wall", "-o", os.fspath(program), os.fspath(source), *LIBRARIES.get(name, ())]
        subprocess.run(command, check=True)
    return os.fspath(program)

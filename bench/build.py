"""The C programs, compiled when needed, and the folder for all files of a run."""

import os
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
OUT = HERE / "out"


LIBRARIES = {"tls": ("-lssl", "-lcrypto")}  # Debian's libssl-dev


def compiled(name: str) -> str:
    """The path of the program made of `c/NAME.c`: compiled with -O2 if the source has changed since."""
    source, program = HERE / "c" / f"{name}.c", OUT / "bin" / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        program.parent.mkdir(parents=True, exist_ok=True)
        command = ["gcc", "-O2", "-Wall", "-o", os.fspath(program), os.fspath(source), *LIBRARIES.get(name, ())]
        subprocess.run(command, check=True)
    return os.fspath(program)

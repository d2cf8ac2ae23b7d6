"""``make`` on a machine whose Python is too old, or not there."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD = '#!/bin/sh\n[ "$1" = -V ] && { echo "Python 3.10.12"; exit 0; }\nexit 1\n'


@pytest.mark.parametrize(("script", "says"), [(OLD, "Python 3.10.12"), (None, "not here")])
def test_a_python_that_is_too_old_is_said_first(tmp_path: Path, script: str | None, says: str) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    python = tmp_path / "python"
    if script is not None:
        python.write_text(script)
        python.chmod(0o755)
    done = subprocess.run(
        ["make", f"PYTHON={python}", "run"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    first = done.stderr.splitlines()[0]
    assert first.startswith(f"Portside needs Python 3.11 or later, and {python} is {says}. ")
    assert first.endswith("PYTHON=python3.12 make run")
    assert not (tmp_path / ".venv").exists()

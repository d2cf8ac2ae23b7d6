"""The types of the Python API, as mypy and pyright see them in a program that uses it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import portside

UNIT = Path(__file__).parents[1]
FOLDERS = pytest.mark.parametrize("folder", [UNIT / "api" / "consumer", UNIT / "testing" / "consumer"], ids=str)


def mistakes(folder: Path) -> list[int]:
    """The lines with a mistake."""
    lines = (folder / "mistakes.txt").read_text().splitlines()
    return [number for number, line in enumerate(lines, 1) if line.endswith("# mistake")]


def check(checker: list[str], folder: Path, name: str, tmp_path: Path) -> str:
    """What a checker says about a file, in a folder without the settings of this repository."""
    (tmp_path / name).with_suffix(".py").write_text((folder / name).read_text())
    command = [sys.executable, "-m", *checker, f"{Path(name).stem}.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False)
    return done.stdout + done.stderr


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(portside.__file__).parent / "py.typed").exists()


@FOLDERS
def test_mypy_strict(folder: Path, tmp_path: Path) -> None:
    mypy = ["mypy", "--strict", f"--cache-dir={tmp_path}/cache"]
    assert check(mypy, folder, "consumer.py", tmp_path).startswith("Success: no issues found")
    found = re.findall(r"^mistakes\.py:(\d+): error", check(mypy, folder, "mistakes.txt", tmp_path), re.MULTILINE)
    assert sorted(set(map(int, found))) == mistakes(folder)


@FOLDERS
def test_pyright_strict(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    pyright = ["basedpyright", f"--pythonpath={sys.executable}"]
    shown = check(pyright, folder, "consumer.py", tmp_path)
    assert "0 errors, 0 warnings" in shown, shown
    found = re.findall(r"mistakes\.py:(\d+):\d+ - error", check(pyright, folder, "mistakes.txt", tmp_path))
    assert set(mistakes(folder)) <= set(map(int, found))

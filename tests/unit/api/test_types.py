"""The types of the Python API, as mypy and pyright see them in a program that uses it."""

import re
import subprocess
import sys
from pathlib import Path

import portside

FOLDER = Path(__file__).parent / "consumer"
MISTAKES = [
    number
    for number, line in enumerate((FOLDER / "mistakes.txt").read_text().splitlines(), 1)
    if line.endswith("# mistake")
]


def check(checker: list[str], name: str, tmp_path: Path) -> str:
    """What a checker says about a file, in a folder without the settings of this repository."""
    (tmp_path / name).with_suffix(".py").write_text((FOLDER / name).read_text())
    command = [sys.executable, "-m", *checker, f"{Path(name).stem}.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False)
    return done.stdout + done.stderr


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(portside.__file__).parent / "py.typed").exists()


def test_mypy_strict(tmp_path: Path) -> None:
    mypy = ["mypy", "--strict", f"--cache-dir={tmp_path}/cache"]
    assert check(mypy, "consumer.py", tmp_path).startswith("Success: no issues found")
    found = re.findall(r"^mistakes\.py:(\d+): error", check(mypy, "mistakes.txt", tmp_path), re.MULTILINE)
    assert sorted(set(map(int, found))) == MISTAKES


def test_pyright_strict(tmp_path: Path) -> None:
    (tmp_path / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    pyright = ["basedpyright", f"--pythonpath={sys.executable}"]
    shown = check(pyright, "consumer.py", tmp_path)
    assert "0 errors, 0 warnings" in shown, shown
    found = re.findall(r"mistakes\.py:(\d+):\d+ - error", check(pyright, "mistakes.txt", tmp_path))
    assert set(MISTAKES) <= set(map(int, found))

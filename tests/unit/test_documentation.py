"""The pages of ``portside help``: all there, found by their names, and shown as they are where there is no terminal."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from portside.app.documentation import MONITORING, SUBJECTS, TUTORIAL, finding_codes, read_page
from portside.cli import COMMANDS, main
from portside.diagnosis.registry import RULES

ROOT = Path(__file__).parents[2]
NO_TOPICS = {"architecture", "index"}  # for those who change Portside; the contents of the site


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "portside", "help", *words], capture_output=True, text=True, timeout=60, check=False
    )


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """The exit status of ``portside help`` and what it writes by Python's own streams."""
    with pytest.raises(SystemExit) as ended:
        main(["help", *words])
    written = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, written.out, written.err


def test_every_page_is_a_topic_and_in_the_wheel() -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")} - NO_TOPICS
    assert {*pages, TUTORIAL, MONITORING} == {*COMMANDS, *SUBJECTS}
    assert finding_codes() == sorted(rule.code for rule in RULES)
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    expected = {"docs/findings", "docs/monitoring", "docs/tutorial", *(f"docs/{page}.md" for page in pages)}
    assert included["force-include"] == {path: f"portside/{path}" for path in expected}


def test_a_page_is_plain_markdown_in_a_pipe() -> None:
    done = run("rules")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.encode() == read_page("rules")
    assert "\x1b" not in done.stdout
    assert "<!--" not in done.stdout


def test_the_tutorial_is_all_its_pages_in_their_order() -> None:
    headings = [line for line in read_page(TUTORIAL).decode().splitlines() if line.startswith("# ")]
    assert [heading[:3] for heading in headings] == ["# T", "# 1", "# 2", "# 3", "# 4", "# 5", "# 6"]


def test_a_reader_that_goes_away_ends_it_in_order() -> None:
    script = f"{sys.executable} -m portside help listen | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("# portside listen\n0\n", "")


def test_all_topics_are_listed_with_a_sentence(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = shown(capfd)
    assert status == 0
    for topic, words in (*COMMANDS.items(), *SUBJECTS.items()):
        (line,) = [line for line in out.splitlines() if line.split()[:1] == [topic]]
        assert line.split()[1] == words.split()[0]
    assert all(code in out for code in finding_codes())


@pytest.mark.parametrize("topic", ["close-wait-leak", "RULES", "rules.md", "watch-events"])
def test_a_topic_is_found(topic: str, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = shown(capfd, topic)
    assert status == 0
    assert out.startswith("# ")


def test_the_help_of_a_subcommand(capfd: pytest.CaptureFixture[str]) -> None:
    status, out, _ = shown(capfd, "rec", "show")
    assert status == 0
    assert out.startswith("usage: portside rec show")
    assert "Examples:" in out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rulse"], "did you mean rules?"),
        (["close-wait-leek"], "did you mean close-wait-leak?"),
        (["netstat"], "portside watch"),
        (["xyzzy"], "portside help lists them"),
        (["../../etc/passwd"], "portside help lists them"),
        (["a", "b"], "portside help lists them"),
        (["rec", "shwo"], "did you mean show?"),
    ],
)
def test_a_topic_that_does_not_exist(words: list[str], hint: str, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, error = shown(capfd, *words)
    assert (status, out) == (2, "")
    assert hint in error


def test_what_is_written_of_a_topic_is_escaped(capfd: pytest.CaptureFixture[str]) -> None:
    status, _, error = shown(capfd, "\x1b[2J")
    assert status == 2
    assert "\x1b" not in error

"""What is documented is what is there."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

from portside.cli import COMMANDS
from portside.cli.parser import parse
from portside.diagnosis.registry import RULES
from portside.events import EVENTS, CloseReason, RefuseReason
from portside.kernel import states
from portside.kernel.filter.columns import FILTER_COLUMNS
from portside.lab.registry import CONDITIONS, NOT_MADE
from portside.settings import examples_of, option_specs
from portside.settings.commands import GROUPS, all_commands
from portside.settings.connect import Connect
from portside.settings.diagnose import Diagnose
from portside.settings.lab import Lab
from portside.settings.values import FORMATS
from portside.settings.watch import Watch
from portside.wire.faults.model import KINDS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_tables_and_man_pages_and_completions_are_up_to_date() -> None:
    made = subprocess.run(
        [sys.executable, str(DOCS / "reference.py"), "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert made.returncode == 0, made.stderr


def test_every_option_is_documented() -> None:
    for name, settings in all_commands().items():
        page = (DOCS / f"{name.split()[0]}.md").read_text()
        for _, spec, _ in option_specs(settings):
            for flag in spec.flags:
                assert flag in page, f"{flag} of {name}"


def test_every_event_and_reason_is_documented() -> None:
    page = (DOCS / "events.md").read_text()
    for event in EVENTS:
        row = next(line for line in page.splitlines() if line.startswith(f"| `{event.event}` |"))
        for field in event.__struct_fields__:
            told = f"`{field}`" in row or field in ("data", "cut") or "as `received`" in row
            assert told, f"{field} of {event.event}"
    for reason in (*get_args(CloseReason), *get_args(RefuseReason)):
        assert f"| `{reason}` |" in page


def test_every_command_and_format_is_documented() -> None:
    readme = (ROOT / "README.md").read_text()
    for command in COMMANDS:
        assert f"portside {command}" in readme
        assert (DOCS / f"{command}.md").exists()
    page = (DOCS / "listen.md").read_text()
    for name in FORMATS:
        assert f"| `{name}` |" in page


def test_every_fault_and_clause_is_documented() -> None:
    page = (DOCS / "faults.md").read_text()
    for name, kind in KINDS.items():
        row = next(line for line in page.splitlines() if line.startswith((f"| `{name}`", f"| `{name} ")))
        for clause in kind.clauses:
            assert f"`{clause}`" in row, f"{clause} of {name}"


def test_every_word_of_the_filter_language_is_documented() -> None:
    page = (DOCS / "filter.md").read_text()
    for word in (*states.WORDS, *FILTER_COLUMNS):
        assert f"`{word}`" in page, word


SECTIONS = ("What you see", "Why it happens", "How to prove it", "What to do", "Thresholds")


def test_every_condition_has_its_page_with_all_sections() -> None:
    assert {path.stem for path in (DOCS / "findings").iterdir()} == {rule.code for rule in RULES}
    for rule in RULES:
        page = (DOCS / "findings" / f"{rule.code}.md").read_text()
        assert page.startswith(f"# {rule.code}\n\n{rule.sentence}\n")
        assert re.findall("^## (.*)$", page, re.MULTILINE) == [*SECTIONS]
        for section in page.split("\n## ")[1:-1]:
            assert len(section.split()) > 8, f"{rule.code}: {section}"


def test_the_page_of_a_condition_names_its_lab() -> None:
    assert {*CONDITIONS, *NOT_MADE} == {rule.code for rule in RULES}
    for rule in RULES:
        page = (DOCS / "findings" / f"{rule.code}.md").read_text()
        assert (f"`portside lab {rule.code}`" in page) == (rule.code in CONDITIONS), rule.code


def test_links_between_the_pages_of_conditions_lead_somewhere() -> None:
    for path in (DOCS / "findings").iterdir():
        for target in re.findall(r"\]\(([^)]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_commands_on_the_pages_of_conditions_are_ones_that_portside_takes() -> None:
    for path in (DOCS / "findings").iterdir():
        for words in map(shlex.split, re.findall(r"`portside ([^`]+)`", path.read_text())):
            settings = {"watch": Watch, "diagnose": Diagnose, "connect": Connect, "lab": Lab}[words[0]]
            parse(settings, words[0], words[1:])


MAN_PAGES = sorted((ROOT / "share/man/man1").iterdir())


def test_a_man_page_for_each_command() -> None:
    names = ["portside", *(f"portside-{name.replace(' ', '-')}" for name in (*GROUPS, *all_commands()))]
    assert [path.name for path in MAN_PAGES] == sorted(f"{name}.1" for name in names)


def test_man_shows_every_page_whole() -> None:
    # Whether man may keep what it has made is no concern of the tests: some systems drop root's rights for it.
    env = {**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANROFFSEQ": "", "MAN_KEEP_FORMATTING": ""}
    for path in MAN_PAGES:
        done = subprocess.run(
            ["man", "--warnings", "-l", str(path)], capture_output=True, text=True, timeout=60, check=True, env=env
        )
        assert done.stderr == "", path.name
        sections = [line for line in done.stdout.splitlines() if line.isupper() and line[0] != " "]
        assert sections[:2] == ["NAME", "SYNOPSIS"], path.name
        assert sections[-3:] == ["EXAMPLES", "EXIT STATUS", "SEE ALSO"], path.name
        command = path.stem.removeprefix("portside").replace("-", " ").strip()
        shown = " ".join(done.stdout.split())
        settings = all_commands().get(command)
        for flag in (flag for _, spec, _ in option_specs(settings) for flag in spec.flags) if settings else ():
            assert flag in shown, f"{flag} in {path.name}"
        for each in examples_of(settings) if settings else ():
            assert " ".join(each.command.split()) in shown, path.name

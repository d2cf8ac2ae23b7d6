"""The documentation, run: sessions print in shape what their pages show, and Portside takes every command."""

import re
from pathlib import Path

import pytest
from command_lines import SETTINGS, check_command
from e2e.pages_in_netns import PYTHON, SAMPLES, SESSIONS, sample_of, session_of
from netns import run_in_netns
from pages import PAGES, ROOT, Block, blocks, commands, compare, compare_keys, filters, output_of, read_page

from portside.kernel.filter import parse as parse_filter
from portside.kernel.resolver import SystemResolver
from portside.settings import option_specs

# The architecture shows pictures of the tree, not what runs; tests/integration/testing runs the page about tests.
ALL = [block for path in PAGES if path.name not in ("architecture.md", "testing.md") for block in blocks(path)]
# Forms of writing, units of systemd, and a screen of the console, which other tests hold.
OTHERS = (
    "FAULT [ARGUMENT] [CLAUSE VALUE]…",
    'segment header   "PORTSIDE"',
    "[Socket]",
    "[Unit]",
    "127.0.0.1:12345  pid 53140",
)
OTHER_PROGRAMS = {
    "--no-compile",
    "--no-deps",
    "--upgrade",
    "--unix-socket",
    "--ssl",
    "--ssl-verify",
    "--ssl-trustfile",
    "--cacert",
    "--portside-record",
    "--disable-socket",
    "--allow-hosts",
}
MISTAKE = "spotr = :12345"


def is_run(block: Block) -> bool:
    """Whether a block is one that must be run."""
    if block.is_file or block.is_command or block.lines[0].startswith(OTHERS):
        return False
    page = [other for other in ALL if other.page == block.page]
    return block not in [output_of(other, page) for other in page if other.language == "python"]


RUN = [block for block in ALL if is_run(block)]


@pytest.mark.parametrize("block", RUN, ids=lambda block: f"{block.page} {block.lines[0]}")
def test_a_block(block: Block, tmp_path: Path) -> None:
    known = session_of(block) or PYTHON.get(block.page, {}).get(block.lines[0]) or sample_of(block)
    assert known, f"{block.place}: tests/e2e/pages_in_netns.py has no scenario for: {block.lines[0]}"
    run_in_netns("e2e.pages_in_netns", block.page, str(block.line), str(tmp_path))


def test_every_scenario_belongs_to_a_block() -> None:
    for table in (SESSIONS, PYTHON, SAMPLES):
        for page, scenarios in table.items():
            for start in scenarios:
                firsts = [block.lines[0].removeprefix("$ ") for block in RUN if block.page == page]
                assert any(first.startswith(start) for first in firsts), f"{page}: {start}"


@pytest.mark.parametrize(
    ("page", "line", "command"),
    [(path.name, line, command) for path in PAGES for line, command in commands(path)],
    ids=str,
)
def test_a_command_is_one_that_portside_takes(page: str, line: int, command: str) -> None:
    check_command(command, wrong_filter=MISTAKE)


def test_every_option_in_a_sentence_is_one_of_portside() -> None:
    specs = [spec for settings in SETTINGS.values() for _, spec, _ in option_specs(settings)]
    known = {"--help", "--version", *(flag for spec in specs for flag in spec.flags)}
    known |= {flag.replace("--", "--no-", 1) for spec in specs if spec.negatable for flag in spec.flags}
    for path in (*PAGES, ROOT / "CHANGELOG.md"):
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", read_page(path)):
            assert option in known | OTHER_PROGRAMS, f"{path.name}: {option}"


@pytest.mark.parametrize(("line", "conditions"), [*filters(ROOT / "docs/filter.md")], ids=str)
def test_a_filter_can_be_read(line: int, conditions: str) -> None:
    assert parse_filter(conditions, SystemResolver())


OPENED = "12:00:01.123  #1 127.0.0.1:33406  connected"
CLOSED = "12:00:06.000  #1 127.0.0.1:33406  closed by peer after 2.544s, 6 B in"
SESSION = (OPENED, CLOSED)


@pytest.mark.parametrize(
    "shown",
    [
        (OPENED,),
        (CLOSED,),
        (CLOSED, OPENED),
        (OPENED, "between", CLOSED),
        (OPENED, CLOSED, "one more"),
        (OPENED, CLOSED.replace("6 B", "7 B")),
        (OPENED, CLOSED.replace("#1", "#2")),
    ],
)
def test_what_differs_is_found(shown: tuple[str, ...]) -> None:
    with pytest.raises(AssertionError, match="page"):
        compare(SESSION, shown)


def test_times_durations_ports_and_processes_may_differ() -> None:
    compare(SESSION, [line.replace("33406", "52436").replace("2.544", "10.001") for line in SESSION])
    compare(["…", SESSION[1]], ["before", *SESSION])
    compare(["4379/portside", "4388/nc"], ["1/nc", "2/portside"], in_order=False)


def test_keys_that_differ_are_found() -> None:
    sample = Block("page", 1, None, ('{"conn":1,"peer":"127.0.0.1:51340"}',))
    compare_keys(sample, '{"conn": 2, "peer": ""}')
    for shown in ('{"conn": 2}', '{"peer": "", "conn": 2}', '{"conn": 2, "peer": "", "size": 1}'):
        with pytest.raises(AssertionError, match="page"):
            compare_keys(sample, shown)
    with pytest.raises(AssertionError, match="page"):
        compare_keys(Block("page", 1, None, ('{"conn":1,…,"peer":""}',)), '{"conn": 2, "size": 1}')

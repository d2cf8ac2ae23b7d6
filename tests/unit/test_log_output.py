"""The log on standard error: one escaped line a record."""

import logging
from collections.abc import Iterator

import pytest

from portside.app import log_output


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    lines: list[str] = []
    monkeypatch.setattr(log_output, "write_stderr", lines.append)
    logger = logging.getLogger("portside")
    before = logger.level, logger.handlers[:], logger.propagate
    yield lines
    logger.setLevel(before[0])
    logger.handlers[:] = before[1]
    logger.propagate = before[2]


def test_what_comes_from_the_network_is_escaped(written: list[str]) -> None:
    log_output.start_logging("info")
    log = logging.getLogger("portside.test")
    log.debug("not written")
    log.info("a peer sent %s", "\x1b[2J\nportside: \u202e\udcff")
    (line,) = written
    assert line[26:] == "Z info portside.test: a peer sent \\x1b[2J\\nportside: \\u202e\\xff\n"


def test_an_exception_is_one_line(written: list[str]) -> None:
    log_output.start_logging("error")
    try:
        int("x")
    except ValueError:
        logging.getLogger("portside.test").exception("it failed")
    (line,) = written
    assert line.count("\n") == 1
    assert "it failed\\nTraceback" in line

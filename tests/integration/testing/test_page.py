"""docs/testing.md: its examples pass, and its failures are what pytest shows."""

import pytest
from integration.testing.test_failures import QUIET
from pages import ROOT, Block, blocks, compare

import portside.testing.fixtures
import portside.tls.self_signed  # noqa: F401

PAGE = blocks(ROOT / "docs" / "testing.md")
EXAMPLES = [block for block in PAGE if block.language == "python"]
SAMPLES = [block for block in PAGE if block.language == ""]


def file_of(block: Block) -> str:
    return block.lines[0].removeprefix("# ").partition(":")[0]


@pytest.mark.parametrize("block", EXAMPLES, ids=file_of)
def test_an_example_passes(pytester: pytest.Pytester, block: Block) -> None:
    (pytester.path / file_of(block)).write_text(block.text)
    result = pytester.runpytest_inprocess(*QUIET)
    assert result.ret == 0
    result.assert_outcomes(passed=block.text.count("\ndef test_"))


def failure(shown: str) -> list[str]:
    """The lines of the only failure or error."""
    lines = shown.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("___")) + 1
    end = next(at for at, line in enumerate(lines) if line.startswith("=== short") or "short test summary" in line)
    return lines[start:end]


def test_the_failure(pytester: pytest.Pytester) -> None:
    text = EXAMPLES[0].text.replace('expect(b"HELO me', 'expect(b"HELO you').replace("        answers.read()\n", "")
    text = text.replace('        assert answers.readline().startswith(b"250")\n', "        answers.readline()\n\n")
    text = text.replace('        client.sendall(b"QUIT\\r\\n")\n', "\n").replace("    assert tcp_server.conn", "    # ")
    (pytester.path / "test_login.py").write_text(text)
    result = pytester.runpytest_inprocess(*QUIET)
    compare(SAMPLES[0].lines, failure(result.stdout.str()))


def test_the_leak(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
    import socket

    kept = []

    def test_leak(tcp_server, tcp_leaks):
        tcp_server.greet(b"x").close()
        kept.append(socket.create_connection((tcp_server.host, tcp_server.port)))
        kept[0].recv(1)
        kept[0].recv(1)

    def test_after():
        kept[0].close()
    """
    )
    result = pytester.runpytest_inprocess(*QUIET)
    compare(SAMPLES[1].lines, failure(result.stdout.str()), [r"descriptor \d+"])


def test_the_page_names_every_fixture_and_method() -> None:
    page = (ROOT / "docs" / "testing.md").read_text()
    from portside.testing import Reaction, Script, TcpServer
    from portside.testing.script import ScriptWriter

    for kind in (Reaction, ScriptWriter, Script, TcpServer):
        for name, value in vars(kind).items():
            is_own = (value.__doc__ or "").startswith("For Portside itself")
            if not (is_own or name.startswith("_") or name in ("is_empty", "expects_more", "findings", "report")):
                assert f"{name}" in page, name

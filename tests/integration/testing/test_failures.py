"""How tests fail: what pytest shows of a conversation that was not as expected."""

import pytest

import portside.testing.fixtures
import portside.tls.self_signed  # noqa: F401 - loaded once, for all runs of pytest in this process

HEAD = """
    import errno
    import re
    import socket
    import pytest
    def talk(port, *pieces):
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            for piece in pieces:
                client.sendall(piece)
            with client.makefile("rb") as answers:
                try:
                    client.shutdown(socket.SHUT_WR)
                    return answers.read()
                except OSError as error:
                    if error.errno not in (errno.ECONNRESET, errno.ENOTCONN):  # the reset came before or after FIN
                        raise
                    return None
"""
ALONE = ("-p", "portside.testing.plugin", "-p", "no:cacheprovider", "-W", "error")  # with the fixture ``alone``
QUIET = ("-p", "no:cacheprovider", "-p", "no:schemathesis", "-p", "no:asyncio", "-W", "error")


def outcome(pytester: pytest.Pytester, body: str, *options: str, **counts: int) -> str:
    """What pytest writes about a test; ``counts`` are its outcomes."""
    pytester.makepyfile(HEAD + body)
    result = pytester.runpytest_inprocess(*QUIET, *options)
    result.assert_outcomes(**counts)
    return result.stdout.str()


def has(text: str, *lines: str) -> None:
    """Check that lines are there, in this order."""
    at = 0
    for line in lines:
        found = text.find(line, at)
        assert found >= 0, f"{line!r} is not at its place in\n{text}"
        at = found + len(line)


def test_the_first_difference(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    def test_mail(tcp_server):
        tcp_server.expect(b"HELO me\\r\\n").reply(b"250 ok\\r\\n")
        tcp_server.expect(b"MAIL FROM:<me@a.example>\\r\\n").reply(b"250 ok\\r\\n")
        tcp_server.expect(b"QUIT\\r\\n")
        talk(tcp_server.port, b"HELO me\\r\\n", b"MAIL FROM:<me@b.example>\\r\\n")
    """,
        failed=1,
    )
    has(
        shown,
        'tcp_server: connection #1 did not send b"MAIL FROM:<me@a.example>\\r\\n"',
        ' but b"MAIL FROM:<me@b.example>\\r\\n"',
        "connection #1 from 127.0.0.1:",
        ", after 9 bytes that were expected:",
        'expected  b"MAIL FROM:<me@a.example>\\r\\n"',
        'got       b"MAIL FROM:<me@b.example>\\r\\n"\n',
        "                          ^ first difference, at byte 14: 0x61 expected, 0x62 came",
        "expected  00000000  4d 41 49 4c 20 46 52 4f  4d 3a 3c 6d 65 40 61 2e  |MAIL FROM:<me@a.|",
        "got       00000000  4d 41 49 4c 20 46 52 4f  4d 3a 3c 6d 65 40 62 2e  |MAIL FROM:<me@b.|",
        "script of connection #1:",
        '  came          b"HELO me\\r\\n"                   test_the_first_difference.py:19',
        '> expected      b"MAIL FROM:<me@a.example>\\r\\n"  test_the_first_difference.py:20',
        '> did not come  b"QUIT\\r\\n"                      test_the_first_difference.py:21',
        "transcript of 127.0.0.1:",
        "connected",
        "> HELO me\\r",
        "< 250 ok\\r",
        "FAILED test_the_first_difference.py::test_mail",
    )


def test_what_did_not_come(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    def test_missing(tcp_server):
        tcp_server.expect(b"A", times=3)
        tcp_server.expect(re.compile(rb"QUIT\\r?\\n"))
        talk(tcp_server.port, b"A")

    def test_partly(tcp_server):
        tcp_server.expect(b"HELO me\\r\\n")
        with socket.create_connection((tcp_server.host, tcp_server.port)) as client:
            client.sendall(b"HEL")

    def test_fin(tcp_server):
        tcp_server.expect(b"A").close()
        tcp_server.expect_fin()
        with socket.create_connection((tcp_server.host, tcp_server.port)) as client:
            client.sendall(b"A")
            client.recv(1)
            tcp_server.connections[0].reset()

    def test_second(tcp_server):
        tcp_server.on_connection(2).expect(b"A")
        talk(tcp_server.port)

    def test_every(tcp_server):
        tcp_server.every_connection().expect(b"A").reply(b"B")
        talk(tcp_server.port, b"A")
        talk(tcp_server.port)
    """,
        failed=5,
    )
    has(
        shown,
        'tcp_server: b"A" did not come (1 of 3 came), and 1 more on connection #1',
        '> did not come 1 of 3  b"A"',
        '> did not come         re.compile(rb"QUIT\\r?\\n")',
        'tcp_server: connection #1 did not send b"HELO me\\r\\n" but b"HEL"',
        "^ ends at byte 3, 6 B short",
        "tcp_server: FIN did not come on connection #1",
        'tcp_server: there was no connection #2: b"A" did not come',
        "script of connection #2, which nobody has opened:",
        'tcp_server: b"A" did not come on connection #2',
        "script of every connection, on #2:",
    )


def test_a_body_that_fails_is_not_hidden(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    def test_body(tcp_server, tcp_proxy, tcp_client):
        tcp_server.expect(b"A\\n").reply(b"B\\n")
        tcp_server.expect(b"C\\n")
        client = tcp_client(tcp_proxy(tcp_server))
        client.send(b"A\\n")
        assert client.receive() == b"X\\n"
    """,
        failed=1,
    )
    has(
        shown,
        "assert b'B\\n' == b'X\\n'",
        "- tcp_client -",
        "- tcp_server -",
        'tcp_server: b"C\\n" did not come on connection #1',
        "transcript of",
        "> A",
        "- tcp_proxy -",
        "> A",
        "FAILED",
        "AssertionError",
    )


def test_a_client_that_expects(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    def test_client(tcp_server, tcp_client):
        tcp_server.greet(b"220 ready\\n")
        tcp_client(tcp_server).expect(b"220 steady\\n")

    def test_check(tcp_server):
        tcp_server.expect(b"A\\n")
        tcp_server.check()
    """,
        failed=2,
    )
    assert "LoopThread" not in shown
    details = shown.partition("short test summary")[0]  # in CI that repeats the whole line
    assert details.count('tcp_server: nobody has connected: b"A\\n" did not come') == 1
    has(
        shown,
        'tcp_client: the server did not send b"220 steady\\n" but b"220 ready\\n"',
        "- tcp_client -",
        "< 220 ready",
    )


def test_failures_at_teardown(pytester: pytest.Pytester) -> None:
    outcome(
        pytester,
        """
    @pytest.fixture
    def client(tcp_server):
        tcp_server.expect(b"A\\n")
        tcp_server.expect(b"QUIT\\n")
        with socket.create_connection((tcp_server.host, tcp_server.port)) as client:
            yield client
            client.sendall(b"QUIT\\n")

    def test_quits_in_its_teardown(client):
        client.sendall(b"A\\n")
    """,
        passed=1,
    )
    shown = outcome(
        pytester,
        """
    @pytest.fixture
    def client(tcp_server):
        tcp_server.expect(b"QUIT\\n")
        yield

    def test_does_not(client):
        pass

    def test_unexpected(client, tcp_server):
        talk(tcp_server.port, b"A\\n")
    """,
        passed=1,
        errors=1,
        failed=1,
    )
    has(shown, "ERROR at teardown of test_does_not", 'tcp_server: nobody has connected: b"QUIT\\n" did not come')
    has(shown, "FAILURES", "test_unexpected", 'tcp_server: connection #1 did not send b"QUIT\\n" but b"A\\n"')


def test_expected_failures_and_skips(pytester: pytest.Pytester) -> None:
    outcome(
        pytester,
        """
    @pytest.mark.xfail(strict=True)
    def test_expected(tcp_server):
        tcp_server.expect(b"A\\n")

    def test_skipped(tcp_server):
        tcp_server.expect(b"A\\n")
        pytest.skip("not today")
    """,
        xfailed=1,
        skipped=1,
    )


def test_several_that_might_have_come(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    def test_any(tcp_server):
        with tcp_server.any_order():
            tcp_server.expect(b"GET /one\\n")
            tcp_server.expect(b"PUT /two\\n")
            tcp_server.expect(re.compile(rb"[a-z]+\\n"))
        talk(tcp_server.port, b"PUT /tow\\n")

    def test_frames(tcp_server_factory):
        server = tcp_server_factory(frame="length:u16be")
        server.expect(b"\\0\\5hello")
        talk(server.port, b"\\0\\6hello!" + b"\\0\\1x")

    def test_nothing(tcp_server):
        talk(tcp_server.port, b"surprise")
    """,
        failed=3,
    )
    has(
        shown,
        'did not send b"GET /one\\n" or b"PUT /two\\n" or 1 more but b"PUT /tow\\n"',
        'expected  b"PUT /two\\n"',
        "first difference, at byte 6",
        'or        b"GET /one\\n"',
        'or        re.compile(rb"[a-z]+\\n")',
        'tcp_server_factory: connection #1 did not send b"\\x00\\x05hello" but b"\\x00\\x06hello!"',
        "00 06 68 65 6c 6c 6f 21                           |..hello!|",
        "tcp_server: connection #1 sent 8 bytes that nothing was expected for",
        'got       b"surprise"',
    )


def test_replies_that_cannot_be_made(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    import sys

    def test_raises(tcp_server):
        tcp_server.expect(re.compile(rb"(\\d)")).reply(lambda match: b"%d" % (1 // int(match[1])))
        talk(tcp_server.port, b"0")

    def test_exits(tcp_server):
        tcp_server.expect(b"A").reply(lambda message: sys.exit(3))
        talk(tcp_server.port, b"A")

    def test_returns_none(tcp_server):
        tcp_server.expect(b"A").reply(lambda message: None)
        talk(tcp_server.port, b"A")
    """,
        failed=3,
    )
    has(
        shown,
        "connection #1: ZeroDivisionError",
        "connection #1: SystemExit: 3",
        "bytes or text is needed, not NoneType",
    )


def test_leaks(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    kept = []

    @pytest.fixture
    def client(tcp_server):
        tcp_server.greet(b"hello").close()
        client = socket.create_connection((tcp_server.host, tcp_server.port))
        client.recv(5)
        client.recv(5)
        yield client
        client.close()

    def test_closed_by_a_fixture(client, tcp_leaks):
        pass

    def test_left(tcp_server, tcp_leaks):
        tcp_server.greet(b"hello").close()
        client = socket.create_connection((tcp_server.host, tcp_server.port))
        client.recv(1)
        kept.append(client)

    def test_afterwards(tcp_leaks):
        kept.pop().close()
    """,
        passed=3,
        errors=1,
    )
    has(
        shown,
        "ERROR at teardown of test_left",
        "tcp_leaks: the test leaves 1 TCP socket open",
        "CLOSE_WAIT: the peer has closed, and close() is missing here, 4 bytes not read",
    )


def test_a_script_that_is_wrong_is_shown_where_it_is_written(pytester: pytest.Pytester) -> None:
    shown = outcome(
        pytester,
        """
    def test_text(tcp_server):
        tcp_server.expect(re.compile("text"))

    def test_empty(tcp_server):
        tcp_server.always(b"")

    def test_fault(tcp_server):
        tcp_server.greet(b"x").fault("latencyy 3ms")
    """,
        failed=3,
    )
    has(shown, "E       TypeError: ", "E       ValueError: an empty pattern", "E       ValueError: 'latencyy'")
    assert "script.py" not in shown
    assert "server.py" not in shown

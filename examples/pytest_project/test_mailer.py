"""Tests of a mail client against scripted servers: `pytest examples/pytest_project`, with portside installed.

The fixtures are those of Portside's plugin for pytest. What a server expects and does not get fails the test with a
transcript, and so does what it gets and does not expect.
"""

import re
import smtplib

import mailer
import pytest

from portside.testing import Script, TcpProxyFactory, TcpServer, TcpServerFactory


def takes_a_mail(script: Script | TcpServer) -> None:
    """Let a server take one mail."""
    script.greet(b"220 ready\r\n")
    script.expect(b"ehlo me\r\n").reply(b"250 hello\r\n")
    script.expect(b"mail FROM:<me@example>\r\n").reply(b"250 from\r\n")
    script.expect(re.compile(rb"rcpt TO:<(\S+)>\r\n")).reply(lambda found: b"250 to " + found[1] + b"\r\n")
    script.expect(b"data\r\n").reply(b"354 go on\r\n")
    script.expect(re.compile(rb"(?s).*\r\n\.\r\n")).reply(b"250 taken\r\n")
    script.expect(b"QUIT\r\n").reply(b"221 bye\r\n").close()


def test_a_mail_is_sent(tcp_server: TcpServer) -> None:
    takes_a_mail(tcp_server)
    mailer.send(tcp_server.port, "you@example", "how are you?")
    assert b"how are you?" in tcp_server.connections[0].received


def test_a_recipient_is_refused(tcp_server: TcpServer) -> None:
    tcp_server.greet(b"220 ready\r\n")
    tcp_server.expect(b"ehlo me\r\n").reply(b"250 hello\r\n")
    tcp_server.expect(b"mail FROM:<me@example>\r\n").reply(b"250 from\r\n")
    tcp_server.expect(b"rcpt TO:<nobody@example>\r\n").reply(b"550 no such mailbox\r\n")
    tcp_server.expect(b"rset\r\n").reply(b"250 forgotten\r\n")
    tcp_server.expect(b"QUIT\r\n").reply(b"221 bye\r\n").close()
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        mailer.send(tcp_server.port, "nobody@example", "are you there?", tries=3)


def test_a_reset_is_tried_again(tcp_server: TcpServer) -> None:
    tcp_server.greet(b"220 ready\r\n")
    tcp_server.expect(b"ehlo me\r\n").reset()
    takes_a_mail(tcp_server.on_connection(2))
    mailer.send(tcp_server.port, "you@example", "how are you?", tries=2)


def test_a_slow_server_in_small_pieces(tcp_server_factory: TcpServerFactory) -> None:
    server = tcp_server_factory(faults=["latency 10ms", "slice 1..3 out"])
    takes_a_mail(server)
    mailer.send(server.port, "you@example", "how are you?")


def test_a_network_that_breaks_in_the_middle(tcp_server: TcpServer, tcp_proxy: TcpProxyFactory) -> None:
    tcp_server.greet(b"220 ready\r\n")
    tcp_server.expect(b"ehlo me\r\n").reply(b"250 hello\r\n")
    proxy = tcp_proxy(tcp_server, faults=["reset at 12 out"])
    with pytest.raises(OSError, match=r"reset|closed"):
        mailer.send(proxy.port, "you@example", "how are you?")

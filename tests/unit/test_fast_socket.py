"""Sockets whose family and type are plain numbers."""

import socket

from portside.server.fast_socket import FastSocket


def test_one_accepts_and_duplicates_as_any_other_does() -> None:
    with FastSocket(socket.AF_INET) as listener, socket.socket() as client:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        client.connect(listener.getsockname())
        accepted, address = listener.accept()
        with accepted, accepted.dup() as copy:
            assert address == client.getsockname()
            for each in (accepted, copy):
                assert type(each) is FastSocket
                assert type(each.family) is int
                assert (each.family, each.type, each.gettimeout()) == (socket.AF_INET, socket.SOCK_STREAM, None)
                each.send(b"x")
        assert client.recv(2, socket.MSG_WAITALL) == b"xx"

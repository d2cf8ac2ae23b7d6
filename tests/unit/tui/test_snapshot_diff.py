"""From one look to the next: what is new, changed, gone; what a socket is known again by."""

from dataclasses import replace

import numpy as np
from unit.kernel.messages import ESTABLISHED, LISTEN, TIME_WAIT, socket_message
from unit.tui.made import Looks, made, numbered, shown

from portside.kernel.table import SocketTable, Unavailable
from portside.tui.snapshot_diff import FADE_S, MARK_LOOKS, keys_of


def without_cookies(table: SocketTable) -> SocketTable:
    return replace(table, unavailable=(*table.unavailable, Unavailable(("cookie",), None, "not told")))


def test_the_first_look_marks_nothing() -> None:
    look = Looks()
    assert shown(look(numbered(1, 2))) == {1: set(), 2: set()}


def test_a_new_socket_is_marked_for_some_looks() -> None:
    look = Looks()
    look(numbered(1))
    for _ in range(MARK_LOOKS):
        assert shown(look(numbered(2, 1))) == {1: set(), 2: {"new"}}
    assert shown(look(numbered(1, 2))) == {1: set(), 2: set()}


def test_a_change_is_marked_in_its_column() -> None:
    look = Looks()
    look(made(socket_message(cookie=7, queues=(0, 0))))
    assert shown(look(made(socket_message(cookie=7, queues=(5, 0))))) == {7: {"recv_q"}}
    assert shown(look(made(socket_message(cookie=7, queues=(5, 9), state=8)))) == {7: {"recv_q", "send_q", "state"}}


def test_what_is_gone_fades_and_goes() -> None:
    look = Looks()
    look(numbered(1, 2, 3))
    view = look(numbered(2))
    assert shown(view) == {1: {"gone"}, 2: set(), 3: {"gone"}}
    assert view.counts() == {"ESTABLISHED": 1}
    assert view.only(1) is None
    assert shown(look(numbered(2), FADE_S - 0.5)) == {1: {"gone"}, 2: set(), 3: {"gone"}}
    assert shown(look(numbered(2), 0.6)) == {2: set()}


def test_what_comes_back_no_longer_fades() -> None:
    look = Looks()
    look(numbered(1, 2, 3))
    look(numbered(2))
    assert shown(look(numbered(2, 3))) == {1: {"gone"}, 2: set(), 3: {"new"}}


def test_another_filter_is_no_change() -> None:
    look = Looks()
    look(numbered(1, 2, 3))
    look.diff.restart()
    assert shown(look(numbered(3, 4))) == {3: set(), 4: set()}


def test_ages() -> None:
    look = Looks()
    look(numbered(1, 2))
    look(numbered(1, 2))
    assert look.diff.ages(numbered(2, 3), look.now + 5).tolist() == [6.0, 0.0]
    view = look(numbered(2, 3), 6)
    assert (view.age_of(2), view.age_of(3), view.age_of(9)) == (7.0, 1.0, 0.0)


def test_no_sockets_at_all() -> None:
    look = Looks()
    assert shown(look(numbered())) == {}
    assert shown(look(numbered(1))) == {1: {"new"}}
    assert shown(look(numbered())) == {1: {"gone"}}


def test_keys_where_there_are_no_cookies() -> None:
    """Both ends, and the inode of a listener: several may listen on one port."""
    table = without_cookies(
        made(
            socket_message(cookie=0, inode=1),
            socket_message(cookie=0, inode=1, remote=("127.0.0.1", 1)),
            socket_message(cookie=0, inode=1, local=("::1", 1), remote=("::2", 1)),
            socket_message(cookie=0, inode=1, local=("::2", 1), remote=("::1", 1)),
            socket_message(cookie=0, inode=1, state=LISTEN, remote=("0.0.0.0", 0)),
            socket_message(cookie=0, inode=2, state=LISTEN, remote=("0.0.0.0", 0)),
        )
    )
    assert len(set(keys_of(table).tolist())) == len(table)
    before = without_cookies(made(socket_message(state=ESTABLISHED, inode=5)))
    after = without_cookies(made(socket_message(state=TIME_WAIT, inode=0)))
    assert keys_of(before).tolist() == keys_of(after).tolist()


def test_lines_come_in_the_order_that_is_asked_for() -> None:
    look = Looks()
    look(numbered(1, 2, 3))
    view = look(numbered(2))
    lines = view.rows(np.array([2, 0, 1]))
    assert [line.key for line in lines] == [3, 2, 1]
    assert [line.socket.remote for line in lines] == ["127.0.0.1:3", "127.0.0.1:2", "127.0.0.1:1"]

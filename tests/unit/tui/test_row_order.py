"""The order of the rows."""

import pytest
from unit.kernel.messages import attribute, socket_message, tcp_info
from unit.tui.made import Looks, made, numbered

from portside.app.sort_order import Sort, parse_sort
from portside.errors import UsageError
from portside.kernel.models import Owner
from portside.kernel.table import SocketTable
from portside.tui.row_order import RowSorter


def keys(table: SocketTable, *sorts: Sort) -> list[list[int]]:
    view, sorter = Looks()(table), RowSorter()
    return [view.keys[sorter.order(view, sort)].tolist() for sort in sorts]


def test_addresses() -> None:
    table = made(
        socket_message(cookie=1, local=("::1", 1), remote=("::1", 1)),
        socket_message(cookie=2, local=("10.0.0.9", 80)),
        socket_message(cookie=3, local=("9.0.0.1", 8080)),
        socket_message(cookie=4, local=("9.0.0.1", 443)),
    )
    assert keys(table, Sort("local"), Sort("local", reverse=True)) == [[4, 3, 2, 1], [1, 2, 3, 4]]
    assert keys(numbered(9, 400, 30), Sort("remote")) == [[9, 30, 400]]


def test_equal_ones_stay_in_one_order() -> None:
    table = made(*(socket_message(cookie=number) for number in (5, 3, 4)))
    assert keys(table, Sort("recv_q")) == [[3, 4, 5]]


def test_what_is_not_known_is_last() -> None:
    table = made(
        socket_message(cookie=1),
        socket_message(cookie=2, attributes=attribute(2, tcp_info(248, rtt=("I", 68, 50)))),
        socket_message(cookie=3, attributes=attribute(2, tcp_info(248, rtt=("I", 68, 70)))),
    )
    assert keys(table, Sort("rtt_us"), Sort("rtt_us", reverse=True)) == [[2, 3, 1], [3, 2, 1]]


def test_programs() -> None:
    table = numbered(1, 2, 3, 4).with_owners({1: (Owner(9, "b", 1),), 2: (Owner(10, "a", 1),), 4: (Owner(8, "b", 1),)})
    assert keys(table, Sort("program"), Sort("pid"), Sort("program", reverse=True)) == [
        [2, 4, 1, 3],
        [4, 1, 2, 3],
        [1, 4, 2, 3],
    ]
    assert keys(numbered(2, 1), Sort("program")) == [[1, 2]]
    assert keys(numbered(2, 1).with_owners({}), Sort("pid")) == [[1, 2]]


def test_an_order_is_kept_as_long_as_the_sockets_are_the_same() -> None:
    look, sorter = Looks(), RowSorter()
    first = sorter.order(look(numbered(3, 1, 2)), Sort())
    assert sorter.order(look(numbered(3, 1, 2)), Sort()) is first
    assert sorter.order(look(numbered(4, 1, 2, 3)), Sort()).tolist() == [1, 2, 3, 0]
    assert sorter.order(look(numbered()), Sort()).tolist() != []  # those that fade
    assert sorter.order(look(numbered(), 9), Sort()).tolist() == []


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        ("local", Sort("local")),
        ("-recv-q", Sort("recv_q", reverse=True)),
        ("sendq", Sort("send_q")),
        ("peer", Sort("remote")),
        ("-rtt", Sort("rtt_us", reverse=True)),
        ("program", Sort("program")),
        ("age", Sort("age_s")),
        ("-AGE", Sort("age_s", reverse=True)),
    ],
)
def test_a_column_as_it_is_written(text: str, sort: Sort) -> None:
    assert parse_sort(text, live=True) == sort


def test_no_such_column() -> None:
    with pytest.raises(UsageError, match="colour"):
        parse_sort("colour", live=True)


def test_a_family_of_which_only_one_that_fades_is_left() -> None:
    looks, sorter = Looks(), RowSorter()
    four, six = socket_message(cookie=2, local=("10.0.0.9", 80)), socket_message(cookie=1, local=("::1", 1))
    sorter.order(looks(made(four, six)), Sort("local"))
    view = looks(made(four, socket_message(cookie=3, local=("10.0.0.9", 81))))
    assert len(view.sections) == 2
    assert view.keys[sorter.order(view, Sort("local"))].tolist() == [2, 3, 1]

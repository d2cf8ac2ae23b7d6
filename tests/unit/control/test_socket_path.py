"""The folder of the control sockets."""

import os
from pathlib import Path

from portside.control.socket_path import list_sockets, remove_stale


def test_a_name_that_is_the_number_of_no_process_is_left_alone(tmp_path: Path) -> None:
    names = ["9999999999.sock", "2147483648.sock", "0.sock", "-1.sock", "x.sock", "\u0663.sock"]
    for name in names:
        (tmp_path / name).touch()
    own = tmp_path / f"{os.getpid()}.sock"
    own.touch()
    assert [each.path for each in list_sockets(str(tmp_path))] == [str(own)]
    remove_stale(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {*names, own.name}

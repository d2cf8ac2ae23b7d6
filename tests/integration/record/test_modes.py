"""Who may read payload on disk: its owner alone, unless somebody said otherwise, whatever the umask."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Start
from recording_files import closed, opened, received, record, remove_index
from support import connect, read_to_end

from portside.record.check import check

PORTSIDE = (sys.executable, "-m", "portside")


def with_umask(umask: str) -> tuple[str, ...]:
    """Portside's command, under a umask."""
    return ("sh", "-c", f'umask {umask}; exec "$@"', "sh", *PORTSIDE)


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def modes_in(folder: Path) -> dict[str, int]:
    return {each.name: mode_of(each) for each in folder.iterdir()}


@pytest.mark.parametrize("umask", ["000", "022", "077"])
@pytest.mark.parametrize(
    ("options", "file_mode", "folder_mode"),
    [((), 0o600, 0o700), (("--record-mode", "640"), 0o640, 0o750), (("--record-mode", "0666"), 0o666, 0o777)],
)
def test_recordings_of_a_server(
    start: Start, tmp_path: Path, umask: str, options: tuple[str, ...], file_mode: int, folder_mode: int
) -> None:
    folder = tmp_path / "above" / "rec"
    server = start(
        *("listen", "127.0.0.1:0", "--format", "json", "--record", str(folder), *options), command=with_umask(umask)
    )
    server.wait_for('"listening"')
    with connect(server.port) as client:
        client.sendall(b"secret")
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    server.wait_for('"closed"')
    running = modes_in(folder)
    server.stop()
    assert {"index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "segment-000001"} <= running.keys()
    assert {*running.values(), *modes_in(folder).values()} == {file_mode}
    assert mode_of(folder) == folder_mode


def test_recording_of_a_client(tmp_path: Path) -> None:
    folder = tmp_path / "rec"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = [*with_umask("000"), "connect", f"127.0.0.1:{port}", "--record", str(folder), "--record-mode", "640"]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as client:
            accepted, _ = listener.accept()
            accepted.close()
            assert client.wait(60) == 0
    assert set(modes_in(folder).values()) == {0o640}
    assert mode_of(folder) == 0o750


def test_what_is_there_keeps_its_mode(start: Start, tmp_path: Path) -> None:
    folder, output = tmp_path / "rec", tmp_path / "log"
    folder.mkdir(mode=0o755)
    record(folder, [opened(1), received(1, b"x"), closed(1, 1)])
    for each in (*folder.iterdir(), output):
        each.touch()
        each.chmod(0o644)
    before = modes_in(folder)
    server = start("listen", "127.0.0.1:0", "--format", "json", "--record", str(folder), "-o", str(output))
    server.wait_for('"listening"')
    server.stop()
    after = modes_in(folder)
    assert {name: after[name] for name in before} == before
    assert after["segment-000002"] == 0o600
    assert (mode_of(folder), mode_of(output)) == (0o755, 0o644)


@pytest.mark.parametrize("umask", ["000", "022", "077"])
def test_output_files_and_exports(start: Start, tmp_path: Path, umask: str) -> None:
    names = [tmp_path / name for name in ("log", "log.jsonl", "log.hex", "log.raw")]
    outputs = [word for name in names for word in ("-o", str(name))]
    server = start("listen", "127.0.0.1:0", "--format", "json", *outputs, command=with_umask(umask))
    server.wait_for('"listening"')
    server.stop()
    assert {mode_of(name) for name in names} == {0o600}
    record(tmp_path / "rec", [opened(1), received(1, b"x"), closed(1, 1)])
    for name in ("x.pcapng", "x.jsonl"):
        command = [*with_umask(umask), "rec", "export", str(tmp_path / "rec"), str(tmp_path / name)]
        subprocess.run(command, check=True, timeout=60, stderr=subprocess.DEVNULL)
        assert mode_of(tmp_path / name) == 0o600


def test_an_index_that_is_made_anew_may_be_read_by_whom_the_segments_may(tmp_path: Path) -> None:
    record(tmp_path / "rec", [opened(1), received(1, b"x"), closed(1, 1)], mode=0o640)
    remove_index(tmp_path / "rec")
    umask = os.umask(0o077)
    try:
        assert check(str(tmp_path / "rec")).rebuilt
    finally:
        os.umask(umask)
    assert mode_of(tmp_path / "rec" / "index.sqlite") == 0o640

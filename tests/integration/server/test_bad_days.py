"""What a server must survive."""

import errno
import os
import pty
import random
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import Start
from support import connect, connect_many, free_port, listening_port, memory_kib, read_to_end, reset, wait_until


def still_serves(server: object) -> None:
    with connect(server.port) as client:  # type: ignore[attr-defined]
        client.sendall(b"are you there?\n")
        server.wait_for(r"are you there\?")  # type: ignore[attr-defined]


def test_garbage(listen: Start) -> None:
    server = listen()
    noise = random.Random(1).randbytes(2_000_000)
    with connect(server.port) as client:
        client.sendall(noise + b"\0" * 100_000)
    server.wait_for("closed by peer")
    still_serves(server)
    assert server.stop() == 0
    text = server.out.decode()
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_line_of_100_mb_without_an_end(listen: Start) -> None:
    with open(os.devnull, "wb") as null:
        server = listen("--format", "text", "-o", "/dev/null", stdout=null, address="127.0.0.1:0")
        port = wait_until(lambda: listening_port(server.process.pid), "the port")
        with connect(port) as client:
            client.sendall(b"x")
            before = memory_kib(server.process.pid)
            block = b"x" * 1_000_000
            for _ in range(100):
                client.sendall(block)
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b""
        assert memory_kib(server.process.pid) - before < 40_000


def test_5000_resets_in_mid_message(listen: Start) -> None:
    server = listen("--format", "json")
    port = server.port
    for _ in range(5000):
        client = connect(port)
        client.sendall(b"a message that has no e")
        reset(client)
    server.wait_for('"closed"', count=5000)
    still_serves(server)
    assert server.stop() == 0
    reasons = {event["reason"] for event in server.events if event["event"] == "closed"}
    assert reasons <= {"peer_reset", "peer_closed"}
    assert "peer_reset" in reasons


def test_1000_clients_that_say_nothing(listen: Start) -> None:
    server = listen()
    with connect_many(1000, server.port):
        server.wait_for("connected$", count=1000)
        still_serves(server)


def limit_descriptors(number: int) -> object:
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (number, number))


def test_no_file_descriptor_left(listen: Start) -> None:
    server = listen("--format", "json", preexec=limit_descriptors(80))
    with connect_many(100, server.port) as clients:
        server.wait_for('"no_file_descriptors"')
        server.wait_for('"(opened|refused)"', count=100)
        clients[0].sendall(b"served on\n")
        server.wait_for("served on")
    server.wait_for('"closed"', count=len(server.wait_for('"opened"')))
    still_serves(server)
    server.stop()
    kinds = [event["event"] for event in server.events]
    assert kinds.count("refused") >= 20
    assert kinds.count("refused") + kinds.count("opened") == 101


def test_a_limit_that_leaves_no_descriptor_for_clients(start: Start, listen: Start, tmp_path: Path) -> None:
    record = ("--record", str(tmp_path / "recording"))
    server = start("listen", "127.0.0.1:0", *record, preexec=limit_descriptors(32))
    assert server.wait() == 1
    least = re.search(rb"of the 32 file descriptors .* at least (\d+) are needed\n", server.err)
    assert least
    assert b"listening" not in server.out
    server = listen(*record, preexec=limit_descriptors(int(least[1])))
    still_serves(server)
    assert server.stop() == 0


def test_a_limit_with_which_nothing_can_start(start: Start) -> None:
    server = start("listen", "127.0.0.1:0", preexec=limit_descriptors(12))
    assert server.wait() == 1
    assert server.err.startswith(b"portside: cannot start: 12 file descriptors are too few; 64 are enough")
    assert server.err.count(b"\n") == 2


def test_a_reader_that_stops(start: Start) -> None:
    """Memory stays bounded, clients feel it, everything goes on when the reader does; nothing is lost."""
    reading, writing = os.pipe()
    with open(writing, "wb") as out:
        server = start("listen", "127.0.0.1:0", "--format", "raw", stdout=out)
    port = server.port
    data = random.Random(2).randbytes(1 << 20)
    before = memory_kib(server.process.pid)
    sent = 0
    with connect(port) as client, open(reading, "rb", buffering=0) as pipe:
        client.setblocking(False)
        stuck = 0
        while stuck < 20:
            try:
                sent += client.send(data[sent % len(data) :])
                stuck = 0
            except BlockingIOError:
                # Full for a moment or for good: for good when it stays so over several looks.
                client.settimeout(0.05)
                try:
                    sent += client.send(data[sent % len(data) :])
                    stuck = 0
                except TimeoutError:
                    stuck += 1
                client.setblocking(False)
        assert sent < 64 << 20
        assert memory_kib(server.process.pid) - before < 40_000
        with connect(port):  # waits in the backlog
            client.setblocking(True)
            client.shutdown(socket.SHUT_WR)
            taken = 0
            while taken < sent:
                chunk = pipe.read(1 << 16)
                assert chunk == (data + data)[taken % len(data) :][: len(chunk)]
                taken += len(chunk)
            client.settimeout(30)
            assert read_to_end(client) == b""
        assert server.stop() == 0


def test_a_reader_that_stops_does_not_keep_it_from_ending(start: Start) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as out:
        server = start("listen", "127.0.0.1:0", stdout=out, preexec=lambda: _fill(writing))
    try:
        port = wait_until(lambda: listening_port(server.process.pid), "the port")
        with connect(port) as client:
            client.sendall(b"x\n")
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b""
            server.signal(signal.SIGINT)
            assert server.wait() == 0
        assert b"were not written" in server.err
    finally:
        os.close(reading)


def _fill(pipe: int) -> None:
    """Fill a pipe, so that the next write to it waits."""
    os.set_blocking(pipe, False)
    try:
        while True:
            os.write(pipe, b"x" * 65536)
    except BlockingIOError:
        os.set_blocking(pipe, True)


def test_a_closed_pipe_ends_the_run_quietly(start: Start) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as out:
        server = start("listen", "127.0.0.1:0", stdout=out)
    with open(reading, "rb", buffering=0) as pipe:
        pipe.read(1)
    assert server.wait() == 0  # at once, and not at the next output
    assert not server.err


def test_a_full_disk_loses_nothing(start: Start, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    try:
        ballast = disk / "ballast"
        ballast.write_bytes(b"x" * 200_000)
        log = disk / "log.raw"
        server = start("listen", "127.0.0.1:0", "-o", str(log))
        with connect(server.port) as client:
            client.sendall(b"y" * 99_999 + b"\n")
            server.wait_for("cannot write .*No space left on device", err=True)
            assert log.stat().st_size < 100_000
            ballast.unlink()
            server.wait_for("takes data again", err=True)
            wait_until(lambda: log.stat().st_size == 100_000, "the rest to be written")
            client.sendall(b"z")
            wait_until(lambda: log.stat().st_size == 100_001, "what came after")
        assert server.stop() == 0
        assert log.read_bytes() == b"y" * 99_999 + b"\nz"
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_sigkill_leaves_nothing_that_keeps_the_next_from_starting(start: Start) -> None:
    port = free_port()
    server = start("listen", f"127.0.0.1:{port}")
    server.wait_for("listening")
    with connect(port):
        server.wait_for("connected")
        server.kill()
    start("listen", f"127.0.0.1:{port}").wait_for("listening")


def fails(start: Start, *arguments: str, status: int = 1, **options: object) -> str:
    program = start(*arguments, **options)
    assert program.wait() == status
    assert not program.out
    words = program.err.decode()
    assert words.startswith("portside: ")
    assert "Traceback" not in words
    assert len(words.splitlines()) <= 2
    return words


def test_a_port_in_use(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        words = fails(start, "listen", f"127.0.0.1:{port}")
    assert words.startswith(
        f"portside: cannot listen on 127.0.0.1:{port}: Address already in use\nhint: {os.getpid()}/"
    )
    assert words.endswith(f" has that port: `portside watch -a 'sport = :{port}'`; port 0 picks a free one\n")


def in_namespace(setup: str, wrap: str = "") -> tuple[str, ...]:
    """The command of ``portside listen`` in a network namespace of its own, set up by a line of shell."""
    script = f'ip link set lo up; {setup}; exec {wrap} "$0" -m portside listen "$@"'
    return ("unshare", "--net", "sh", "-c", script, sys.executable)


def test_a_port_that_takes_rights(start: Start) -> None:
    setup = "echo 1024 > /proc/sys/net/ipv4/ip_unprivileged_port_start"
    without = "setpriv --bounding-set=-net_bind_service --inh-caps=-net_bind_service"
    server = start("127.0.0.1:80", command=in_namespace(setup, without))
    assert server.wait() == 1
    assert server.err.startswith(b"portside: cannot listen on 127.0.0.1:80: Permission denied\nhint: ports below 1024")


def test_no_port_that_is_free(start: Start) -> None:
    """Port 0 where the kernel has none left: the error does not say to take port 0."""
    setup = "echo 40000 40001 > /proc/sys/net/ipv4/ip_local_port_range"
    server = start("127.0.0.1:40000", "127.0.0.1:40001", "127.0.0.1:0", command=in_namespace(setup))
    assert server.wait() == 1
    assert server.err.startswith(
        b"portside: cannot listen on 127.0.0.1:0: no port is free\nhint: all of net.ipv4.ip_local"
    )


def test_an_address_that_is_there_twice(start: Start) -> None:
    assert fails(start, "listen", "127.0.0.1:40000", "tcp://127.0.0.1:40000", status=2).startswith(
        "portside: listen: 'tcp://127.0.0.1:40000' is there twice\n"
    )
    server = start("listen", "127.0.0.1:0", "127.0.0.1:0")
    assert len(set(server.wait_for(r"listening on \S+", count=2))) == 2


def test_an_address_that_is_not_here(start: Start) -> None:
    words = fails(start, "listen", "192.0.2.1:0")
    assert "cannot listen on 192.0.2.1:0: Cannot assign requested address" in words


def test_no_ipv6(start: Start) -> None:
    """In a network namespace without it: a bare port is IPv4 alone, an address of IPv6 is an error."""
    off = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6"
    server = start("0", command=in_namespace(off))
    server.wait_for("listening on 0.0.0.0")
    assert server.stop() == 0
    refused = start("[::1]:0", command=in_namespace(off))
    assert refused.wait() == 1
    assert refused.err.startswith(b"portside: cannot listen on [::1]:0: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--no-such-option"],
        ["99999"],
        ["::1:80"],
        ["0", "--max-conns", "0"],
        ["0", "--idle-timeout", "soon"],
        ["0", "--frame", "length:u24"],
        ["0", "--frame", "delim:"],
        ["0", "--format", "xml"],
        ["0", "--max-frame", "0"],
        ["0", "--allow", "1.2.3.4/99"],
        ["0", "-4", "-6"],
        ["0", "--send-only", "--recv-only"],
    ],
)
def test_invalid_options(start: Start, arguments: list[str]) -> None:
    fails(start, "listen", *arguments, status=2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("listen --form json", "listen: there is no option --form\nhint: did you mean --format?"),
        ("listen -u", "listen: -u: TCP only: there is nothing here about UDP"),
        ("connect -zu localhost 53", "connect: -u: TCP only: there is nothing here about UDP"),
        ("connect -zq 1 localhost 80", "connect: there is no option -q (in -zq)\nhint: --half-close-timeout DURATION"),
        ("connect -zY localhost 80", "connect: there is no option -Y (in -zY)\nhint: see portside connect --help"),
        ("watch -json", "watch: there is no option -json\nhint: did you mean --json?"),
        ("listen 0 --exec", "listen: argument --exec: a value is missing"),
        ("listen udp://127.0.0.1:80", "listen: 'udp://127.0.0.1:80': TCP only, write tcp://HOST:PORT or HOST:PORT"),
        ("listen --format=jsn 0", "did you mean json?"),
        ("watch --netn x", "watch: there is no option --netn\nhint: did you mean --netns?"),
        ("rec shwo x 1", "rec shwo: no such command\nhint: did you mean show?"),
        ("rules chek x", "rules chek: no such command\nhint: did you mean check?"),
    ],
)
def test_the_word_that_is_wrong_is_named_with_the_nearest_one(start: Start, arguments: str, message: str) -> None:
    assert message in fails(start, *arguments.split(), status=2)


@pytest.mark.parametrize("words", ["127.0.0.1 0", "tcp://127.0.0.1:0", "localhost 0 -4"])
def test_an_address_as_other_tools_write_it(start: Start, words: str) -> None:
    start("listen", *words.split()).wait_for("listening on 127.0.0.1:")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("listen localhost", "'localhost' names no port: write localhost:PORT"),
        ("listen *", "'*' names no port: write *:PORT"),
        ("listen 0 --forward 10.0.0.1", "'10.0.0.1' names no port: write 10.0.0.1:PORT"),
        ("listen /run/x", "'/run/x' is no address: a unix socket is written unix:/run/x"),
        ("listen TCP-LISTEN:9000,fork", "'TCP-LISTEN:9000,fork' is socat's way to write 9000"),
        ("listen UDP4-LISTEN:9000", "TCP only"),
        ("connect x.sock", "'x.sock' is no address: a unix socket is written unix:x.sock"),
        ("connect TCP:localhost:9", "'TCP:localhost:9' is socat's way to write localhost:9"),
        ("connect OPENSSL:localhost:9", "--tls speaks TLS"),
        ("connect UNIX-CONNECT:/run/x", "is socat's way to write unix:/run/x"),
        ("connect localhost:9 10", "'localhost:9' has its port already, and '10' follows"),
        ("connect -z localhost 22 80", "hint: portside connect --scan HOST 20-1024"),
    ],
)
def test_an_address_that_other_tools_would_take(start: Start, arguments: str, message: str) -> None:
    assert message in fails(start, *arguments.split(), status=2)


def test_a_name_to_listen_on_that_nobody_knows(start: Start) -> None:
    assert "hint: is the name spelled right" in fails(start, "listen", "nosuch.invalid:0")


def test_an_output_that_cannot_be_written(start: Start, tmp_path: Path) -> None:
    words = fails(start, "listen", "0", "-o", str(tmp_path / "missing" / "file"))
    assert os.strerror(errno.ENOENT) in words


@pytest.mark.parametrize("words", ["rec show", "rules check"])
def test_help_on_a_subcommand_is_its_own(start: Start, words: str) -> None:
    asked, usual = start("help", *words.split()), start(*words.split(), "--help")
    assert asked.wait() == usual.wait() == 0
    assert asked.out == usual.out != b""


@pytest.mark.parametrize("word", ["watch", "rec"])
def test_help_on_a_command_is_its_page(start: Start, word: str) -> None:
    asked = start("help", word)
    assert asked.wait() == 0
    assert asked.out.startswith(f"# portside {word}".encode())


def test_an_unknown_command_and_none(start: Start) -> None:
    assert fails(start, "lisen", status=2) == "portside: lisen: no such command\nhint: did you mean listen?\n"
    nothing = start()
    assert nothing.wait() == 2
    assert b"usage:" in nothing.err


def test_a_terminal_that_is_slow_is_told_what_it_did_not_get(start: Start) -> None:
    master, slave = pty.openpty()
    with open(slave, "wb", buffering=0) as terminal:
        server = start("listen", "127.0.0.1:0", "--no-stdin", stdout=terminal, env={"NO_COLOR": "1"})
    shown = bytearray(os.read(master, 100))
    port = int(bytes(shown).split(b"127.0.0.1:")[1].split()[0])
    with connect(port) as client:
        line = b"x" * 99 + b"\n"
        client.sendall(line * 50_000)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""  # a view holds nobody back

    def accounted_for() -> int:
        """Lines that were shown, or told to be not shown: here as many as came, and those of the connection."""
        shown.extend(os.read(master, 1 << 16))
        skipped = sum(map(int, re.findall(rb"-- (\d+) lines \(\d+ B\) not shown", bytes(shown))))
        return skipped and skipped + shown.count(b"> xxx") + shown.count(b"connected") + 1

    wait_until(lambda: accounted_for() >= 50_000, "the line that tells it")
    with connect(port) as client:
        client.sendall(b"seen\n")
        wait_until(lambda: accounted_for() and b"> seen" in shown, "what comes after")
    assert server.stop() == 0
    os.close(master)


def test_once_waits_for_a_slow_reader_of_its_output(start: Start) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as out:
        server = start("listen", "127.0.0.1:0", "--once", "--format", "raw", stdout=out)
    data = random.Random(3).randbytes(3 << 20)
    with connect(server.port) as client:
        taken = bytearray()

        def read_slowly() -> None:
            pause = threading.Event()
            while chunk := os.read(reading, 32 * 1024):
                taken.extend(chunk)
                pause.wait(0.02)  # 1.6 MB/s, and a stop longer than any patience after the client is gone
                if len(taken) == 1 << 20:
                    pause.wait(1.0)

        reader = threading.Thread(target=read_slowly)
        reader.start()
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == b""
    assert server.wait() == 0
    reader.join(30)
    os.close(reading)
    assert bytes(taken) == data


def test_memory_is_bounded_when_standard_input_meets_a_stopped_output(start: Start) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as out, open("/dev/zero", "rb") as zeros:
        server = start("listen", "127.0.0.1:0", "--stdin", "--format", "json", stdin=zeros, stdout=out)
    try:
        port = wait_until(lambda: listening_port(server.process.pid), "the port")
        with connect(port) as client:
            client.settimeout(1.0)
            taken = 0
            try:
                while taken < 200_000_000 and (chunk := client.recv(1 << 20)):
                    taken += len(chunk)
            except TimeoutError:
                pass  # it has stopped sending, as it should
            assert taken < 100_000_000
            assert memory_kib(server.process.pid) < 120_000
            server.signal(signal.SIGINT)
            assert server.wait() == 0
    finally:
        os.close(reading)


def test_a_client_that_we_do_not_read_is_not_idle(start: Start) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as out:
        server = start("listen", "127.0.0.1:0", "--idle-timeout", "1s", "--format", "raw", stdout=out)
    data = random.Random(4).randbytes(12 << 20)
    with connect(server.port) as client, open(reading, "rb", buffering=0) as pipe:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        threading.Event().wait(2.5)  # more than the idle timeout passes while nobody reads
        taken = bytearray()
        while len(taken) < len(data):
            taken += pipe.read(1 << 20)
        sender.join(30)
        assert bytes(taken) == data


def test_ctrl_c_ends_it_though_standard_error_is_stuck_too(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-m", "portside", "listen", "127.0.0.1:0"],
        stdin=subprocess.DEVNULL, stdout=writing, stderr=writing, preexec_fn=lambda: _fill(writing),  # noqa: PLW1509
    ) as server, ExitStack() as stack:  # fmt: skip
        stack.callback(server.kill)
        os.close(writing)
        port = wait_until(lambda: listening_port(server.pid), "the port")
        with connect(port) as client:
            client.sendall(b"x\n")
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == b""
            server.send_signal(signal.SIGINT)
            assert server.wait(30) == 0
    os.close(reading)


def test_a_rotation_that_fails_writes_on_in_the_old_file(listen: Start, tmp_path: Path) -> None:
    folder, moved = tmp_path / "folder", tmp_path / "moved"
    folder.mkdir()
    server = listen("-o", str(folder / "log"))
    server.wait_for("listening")
    folder.rename(moved)
    server.signal(signal.SIGHUP)
    server.wait_for("cannot open .* anew: No such file or directory\nhint: the old file is written on", err=True)
    with connect(server.port) as client:
        client.sendall(b"kept\n")
        wait_until(lambda: "> kept" in (moved / "log").read_text(), "the line in the old file")


def test_the_socket_file_of_another_server_is_left_alone(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    first = start("listen", f"unix:{path}")
    first.wait_for("listening")
    path.unlink()
    second = start("listen", f"unix:{path}")
    second.wait_for("listening")
    assert first.stop() == 0
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        second.wait_for("connected")


def test_one_stalled_client_and_others_that_come_and_go_delay_nobody(listen: Start) -> None:
    with open("/dev/zero", "rb") as zeros:
        server = listen("--stdin", "--format", "raw", stdin=zeros, stdout=subprocess.DEVNULL)
        with connect_many(2, server.port) as (reader, _sleeper):
            taken = 0
            while taken < 100_000_000:
                taken += len(reader.recv(1 << 20))
                if taken % 7 == 0:
                    reset(connect(server.port))


@pytest.mark.parametrize("delay_ms", [0, 5, 10, 20, 40, 80])
def test_a_signal_while_the_rest_is_loaded_ends_it_in_order(start: Start, delay_ms: int) -> None:
    server = start("listen", "127.0.0.1:0")
    wait_until(lambda: listening_port(server.process.pid), "the port")
    threading.Event().wait(delay_ms / 1000)
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    assert not server.err

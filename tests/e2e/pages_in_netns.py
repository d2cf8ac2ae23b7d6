"""The scenarios of the documentation's blocks: python -m e2e.pages_in_netns PAGE LINE FOLDER

Each block of a page that shows something running is named by its first line. The module runs in a network namespace of
its own (``netns``); ``page_player`` says how.
"""

import json
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from certificates import Authority
from page_player import Scenario, Stage, play, run_sample
from pages import ANY_LINES, PAGES, ROOT, Block, blocks, compare, compare_keys, name_of, output_of
from support import DEADLINE_S, Program, listening_port, read_to_end, wait_until

RULES = "examples/device.toml"
SHORT = "portside load 9000 -c 100 --per-connection 1 -n 2000"
KEPT = "portside load $port -n 20000 --json >> $port.json"
HTTP = r"--message 'GET / HTTP/1.1\r\nHost: x\r\n\r\n' --reply '/ 200 OK(?s:.*)<\/html>/'"
# As many processes as this machine has processors, and what they measure.
MEASURED = (r" *\b\d[\d,.]*(?:[um]?s|/s)?(?![\w:])", r"\bprocess(?:es)?\b")
FETCH = "openssl s_client -connect localhost:8443 < /dev/null 2> /dev/null | openssl x509 > server.pem"
LOOP = 'while read line; do echo "got $line from $NCAT_REMOTE_ADDR"; done'


def echo(stage: Stage) -> None:
    stage.listen("9000 --echo")


def pausing(stage: Stage) -> None:
    """An echo server that does not read for a while."""
    stage.listen("9000 --echo --format raw --fault 'stall after 1s for 100ms' > /dev/null")


def two_echoes(stage: Stage) -> None:
    for port in (9000, 9001):
        stage.listen(f"{port} --echo --format raw > /dev/null")


def nginx(stage: Stage) -> None:
    """A page of nginx on port 8080, by a configuration of its own."""
    folders = "".join(f"{name}_temp_path .;" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (stage.folder / "nginx.conf").write_text(
        "user root; daemon off; master_process off; pid nginx.pid; error_log stderr; events {} http { access_log off;"
        f"{folders} server {{ listen 127.0.0.1:8080; location / {{ return 200 '<html>hello</html>'; }} }} }}"
    )
    server = stage.start('exec nginx -p "$PWD" -c nginx.conf')
    wait_until(lambda: listening_port(server.process.pid), "nginx to listen")


def two_open_ports(stage: Stage) -> None:
    stage.listen("9000")
    stage.listen("9002")


def tls_server(stage: Stage) -> None:
    """A server with a throw-away certificate, which is fetched as listen.md says."""
    stage.listen("8443 --tls --echo")
    stage.run(FETCH)


def web_server(stage: Stage) -> None:
    stage.start(f"exec {sys.executable} -u -m http.server 8000").wait_for("Serving HTTP")


def curl_head(stage: Stage, relay: Program) -> None:
    relay.wait_for("listening", count=2)
    stage.run("curl -sI --local-port 49306 http://127.0.0.1:8080/examples/ -H 'Host: localhost:8080'")


def json_client(stage: Stage, server: Program) -> None:
    server.wait_for("listening", count=2)
    with stage.connect(9000, "127.0.0.1:47182") as client:
        client.sendall(b"hello\n\xff\n")
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)
    server.wait_for('"closed"')
    server.signal(signal.SIGINT)


def load_balancer(stage: Stage, server: Program) -> None:
    """A client that comes through a load balancer, which is in the network 10.0.0.0/8."""
    server.wait_for("listening", count=2)
    client = stage.connect(9000, "10.0.0.5:60590")
    client.sendall(b"PROXY TCP4 203.0.113.7 203.0.113.9 51234 443\r\n")
    server.wait_for("opened")
    client.close()
    server.wait_for("closed")


def watched(stage: Stage, *ports: int) -> list[Program]:
    """A server on port 12345, and an ``nc`` from each of the ports, which are returned."""
    server = stage.listen("12345")
    clients = [stage.nc(12345, port) for port in ports]
    server.wait_for("connected", count=len(clients))  # an end that waits to be accepted has no program
    return clients


def in_a_lab(stage: Stage, code: str) -> None:
    """A condition that the lab holds."""
    stage.start(f"exec portside lab {code}").wait_for("There after")


def paused_with_a_line(stage: Stage) -> None:
    """A client whose line the server does not read."""
    (client,) = watched(stage, 45404)
    stage.run("portside ctl pause 1")
    stdin = client.process.stdin
    assert stdin
    stdin.write(b"hello\n")
    stdin.flush()
    wait_until(lambda: " 6      0 127.0.0.1:12345" in stage.run("portside watch 12345 --once"), "the line to arrive")


def one_that_has_left(stage: Stage) -> None:
    """A client that has closed first."""
    stage.listen("12345")
    with stage.connect(12345, "127.0.0.1:45404") as client:
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)
    settle()


def recorded_hello(stage: Stage) -> None:
    """The recording of the tutorial."""
    server = stage.listen("12345 --record DIR")
    with stage.connect(12345, "127.0.0.1:45404") as client:
        client.sendall(b"hello\n")
        server.wait_for("> hello")
        client.shutdown(socket.SHUT_WR)
        read_to_end(client)
    server.wait_for("closed by peer")
    server.signal(signal.SIGINT)
    server.wait()


def settle() -> None:
    """Wait until each end has come to rest: ESTABLISHED, TIME_WAIT or LISTEN."""

    def at_rest() -> bool:
        lines = [line for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
        return {line.split()[3] for line in lines} <= {"st", "01", "06", "0A"}

    wait_until(at_rest, "the ends to come to rest")


def two_connected_and_four_past(stage: Stage) -> None:
    watched(stage, 45404, 45862)
    for source in ("127.0.0.1:45406", "127.0.0.1:52436", "127.0.0.1:52450", "[::1]:49094"):
        with stage.connect(12345, source) as client:
            client.shutdown(socket.SHUT_WR)
            read_to_end(client)
    settle()


def many_past_connections(stage: Stage) -> None:
    watched(stage, 33940, 33954)
    for _ in range(15):
        with stage.connect(12345) as client:
            client.shutdown(socket.SHUT_WR)
            read_to_end(client)
    settle()


def come_and_go(stage: Stage, watch: Program) -> None:
    """A connection that is seen in the table, and one too short for it."""
    watch.wait_for("^Time ")
    server = stage.listen("12345")
    client = stage.nc(12345, 42224)
    watch.wait_for("opened", count=2)
    stdin = client.process.stdin
    assert stdin
    stdin.write(b"hello\n")
    stdin.flush()
    server.wait_for("> hello")
    client.kill()
    with stage.connect(12345, "127.0.0.1:42238") as short:
        short.sendall(b"x")
        short.shutdown(socket.SHUT_WR)
        read_to_end(short)


def record_two(stage: Stage, server: Program) -> None:
    """The two connections of rec.md."""
    server.wait_for("listening", count=2)
    for number, (port, data) in enumerate(((51340, b"HELLO\nAGAIN\n"), (38904, b"HELLO\nONCE MORE\n")), start=1):
        with stage.connect(12345, f"127.0.0.1:{port}") as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            assert read_to_end(client) == data
        server.wait_for("closed by peer", count=number)
    server.signal(signal.SIGINT)
    server.wait()


def recorded(stage: Stage) -> None:
    """The recording of rec.md."""
    record_two(stage, stage.listen("12345 --record DIR --echo"))


def recorded_and_two_servers(stage: Stage) -> None:
    """The recording, and a server on port 9100 that has a bug from the second client on."""
    recorded(stage)
    listener = socket.create_server(("127.0.0.1", 9100))

    def serve() -> None:
        for wrong in (False, True):
            with listener.accept()[0] as client:
                client.settimeout(DEADLINE_S)
                while data := client.recv(1 << 16):
                    client.sendall(data.replace(b"AGAIN", b"AGaIN") if wrong else data)
        listener.close()

    threading.Thread(target=serve, daemon=True).start()


def one_open_and_one_past(stage: Stage) -> None:
    """A connection, and one that the server's side has closed first: the kernel keeps no tcp_info of that."""
    stage.listen("12345 --greet x --max-conns 1")
    stage.connect(12345, "127.0.0.1:41184")
    with stage.connect(12345, "127.0.0.1:41186") as refused:
        assert read_to_end(refused) == b""


def client_that_answers(stage: Stage) -> None:
    """A client that says yes to whatever it is asked."""
    stage.listen("12345")
    client = stage.connect(12345, "127.0.0.1:41184")

    def answer() -> None:
        if client.recv(100):
            client.sendall(b"yes\n")

    threading.Thread(target=answer, daemon=True).start()


def tls_of_opened(stage: Stage) -> str:
    authority = Authority(stage.folder)
    own, client = authority.sign("localhost"), authority.sign("a client")
    files = f"--tls-cert {own.certificate} --tls-key {own.key} --tls-ca '{authority.path}'"
    server = stage.listen(f"8443 --format json --tls {files} --tls-alpn h2")
    stage.run(
        "openssl s_client -connect localhost:8443 -servername example.org -alpn h2"
        f" -cert '{client.certificate}' -key '{client.key}' < /dev/null"
    )
    server.wait_for('"opened"')
    return json.dumps(next(event["tls"] for event in server.events if event["event"] == "opened"))


def proxy_of_opened(stage: Stage) -> str:
    server = stage.listen("9000 --format json --proxy-protocol")
    ends = socket.inet_aton("203.0.113.7") + socket.inet_aton("203.0.113.9") + struct.pack("!HH", 51234, 443)
    authority = b"\x02" + struct.pack("!H", 11) + b"example.org"
    header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(ends + authority)) + ends + authority
    stage.connect(9000).sendall(header)
    server.wait_for('"opened"')
    return json.dumps(next(event["proxy"] for event in server.events if event["event"] == "opened"))


def fault_event(stage: Stage) -> str:
    server = stage.listen("9000 --format json --fault 'reset at 100'")
    stage.connect(9000).sendall(b"x" * 100)
    return server.wait_for('^.*"fault".*"reset".*$')[0]


def failed_handshake_log(stage: Stage) -> str:
    server = stage.listen("8443 --tls --log-level debug")
    stage.run("portside connect localhost:8443 --tls")
    server.wait_for("refused .*tls_failed")
    return server.out.decode()


def recording_as_json(stage: Stage) -> str:
    recorded(stage)
    return stage.run("portside rec list DIR --json").splitlines()[0]


def closed_in_watch(stage: Stage) -> str:
    stage.listen("12345")
    watch = stage.start("exec portside watch --events --json 12345")

    def is_seen() -> bool:
        stage.connect(12345).close()
        return b'"closed"' in watch.out

    wait_until(is_seen, "a connection that ends when events are watched")
    return watch.wait_for('^.*"closed".*$')[0]


def socket_as_json(stage: Stage) -> str:
    watched(stage, 42224)
    return stage.run("portside watch --json 'sport = :12345'").splitlines()[0]


def bad_rules(stage: Stage) -> None:
    rules = (ROOT / RULES).read_text()
    (stage.folder / "bad.toml").write_text(rules.replace(r"(?P<user>\w+) secret", r"(?P<user>\w+ secret"))


def other_transcript(stage: Stage) -> None:
    transcript = (ROOT / "examples/device.transcript").read_text()
    (stage.folder / "device.transcript").write_text(transcript.replace("> DATA 21.5*18", "> DATA 21.5*19"))


def echo_with_two_clients(stage: Stage) -> None:
    """A server that one client has left, and to which another is connected."""
    server = stage.listen("127.0.0.1:9000 --echo")
    for goes in (True, False):
        client = stage.connect(9000)
        client.sendall(b"hello\n")
        assert client.recv(100) == b"hello\n"
        if goes:
            client.close()
            server.wait_for("closed by peer")


def echo_with_a_page(stage: Stage) -> None:
    """A server that holds events from the start, and a client that is connected."""
    stage.listen("127.0.0.1:9000 --echo --web 127.0.0.1:9080")
    client = stage.connect(9000)
    client.sendall(b"hello\n")
    assert client.recv(100) == b"hello\n"


def two_echo_clients(stage: Stage) -> None:
    """A server with two clients, of which one has had a line back."""
    server = stage.listen("127.0.0.1:9000 --echo")
    client = stage.connect(9000)
    client.sendall(b"hello\n")
    assert client.recv(100) == b"hello\n"
    stage.connect(9000)
    server.wait_for("connected", count=2)


def two_echo_servers(stage: Stage) -> None:
    """Two servers, each with a client that has had back what it sent."""
    for port, size in ((9000, 1200), (9001, 6)):
        server = stage.listen(f"127.0.0.1:{port} --echo")
        client = stage.connect(port)
        client.sendall(b"x" * (size - 1) + b"\n")
        assert len(client.recv(size, socket.MSG_WAITALL)) == size
        server.wait_for("connected")


LEAK = (
    "import socket, threading; server = socket.create_server(('127.0.0.1', 12345)); kept = [];"
    "[kept.append(server.accept()) for _ in range(3)]; print('kept', flush=True); threading.Event().wait()"
)


def forgotten_connections(stage: Stage) -> None:
    """A server that does not close three connections that its clients have closed."""
    server = stage.start(f'exec {sys.executable} -c "{LEAK}"')
    wait_until(lambda: listening_port(server.process.pid), "the server to listen")
    for _ in range(3):
        stage.connect(12345).close()
    server.wait_for("kept")
    wait_until(lambda: stage.run("ss -Htn state close-wait").count("12345") == 3, "three to be forgotten")


def finding_as_json(stage: Stage) -> str:
    forgotten_connections(stage)
    command = "portside diagnose --json 12345 --only close-wait-leak --set close-wait-leak.age=100ms"
    return stage.run(command).splitlines()[-1]


SERVER_VARIES = (r'"node": "[^"]*"', r'"pid": \d+', r'"(?:started|uptime)": .*', r'"accept_queue_limit": \d+')
CURL = "curl -s --unix-socket $XDG_RUNTIME_DIR/portside/*.sock"

SESSIONS: dict[str, dict[str, Scenario]] = {
    "api.md": {
        f"{CURL} http://localhost/api/v1/server | python3 -m json.tool": Scenario(
            echo_with_two_clients, varies=SERVER_VARIES
        ),
        f"{CURL} 'http://localhost/api/v1/server?colour=red'": Scenario(echo_with_two_clients),
        f"{CURL} 'http://localhost/api/v1/events?after=0&follow=false&payload=head'": Scenario(echo_with_a_page),
        f"{CURL} http://localhost/metrics | grep ^portside_connections": Scenario(echo_with_two_clients),
    },
    "README.md": {
        "portside listen": Scenario(sends={"login:": b"login: "}, typed=("hi all",)),
        "portside watch 12345": Scenario(two_connected_and_four_past, screen=(90, 14)),
    },
    "connect.md": {
        "printf 'hello\\n' | portside connect localhost:9000 -v": Scenario(echo),
        "printf 'hello\\n' | portside connect localhost:9000 --format text": Scenario(echo),
        "portside connect localhost:9001": Scenario(),
        "portside connect --scan localhost 8990-9010": Scenario(two_open_ports),
        "printf 'hello\\n' | portside connect localhost:8443 --tls --tls-ca server.pem -v": Scenario(tls_server),
        "portside connect localhost:8443 --tls": Scenario(tls_server),
    },
    "ctl.md": {
        "portside ctl conns": Scenario(two_echo_clients),
        "portside ctl conns --all --sort -received": Scenario(two_echo_servers, varies=(r"^ *CONN", r"\b\d+(?=/\d)")),
    },
    "diagnose.md": {
        "portside diagnose 12345 --set close-wait-leak.age=1s": Scenario(
            forgotten_connections, varies=(r"pid = \d+", r"\d+/python[\d.]*$")
        ),
    },
    "events.md": {
        "portside listen 9000 --format json": Scenario(peers=json_client),
    },
    "faults.md": {
        "portside listen 9000 --echo --fault 'reset at 100' --fault 'latency 200ms jitter 50ms'": Scenario(
            varies=(r"--fault-seed \d+",)
        ),
    },
    "filter.md": {
        "portside watch --once 'state established and sport = :12345'": Scenario(
            lambda stage: watched(stage, 33954, 33940), in_order=False
        ),
        "portside watch 'spotr = :12345'": Scenario(),
    },
    "handler.md": {
        "portside listen 12345 --handler examples/greeter.py:greet": Scenario(),
    },
    "lab.md": {
        "portside lab self-connected --for 1s": Scenario(varies=(r"\b\d{4,5}\b",)),
    },
    "load.md": {
        "portside load 9000 -n 20000": Scenario(echo, varies=MEASURED),
    },
    "measuring.md": {
        "portside load 9000 -d 2s | grep -E 'answered|p50|^latency'": Scenario(pausing, varies=MEASURED),
        "portside load 9000 -d 2s --rate 1k/s | grep -E 'answered|p50|^latency'": Scenario(pausing, varies=MEASURED),
        "taskset -c 0 portside load 9000 --workers 1 -n 20000 | grep answered": Scenario(two_echoes, varies=MEASURED),
        f"{SHORT} --source 127.0.0.2 --source 127.0.0.3 | grep opened": Scenario(two_echoes, varies=MEASURED),
        f"for run in 1 2 3; do for port in 9000 9001; do {KEPT}; done; done": Scenario(two_echoes, varies=MEASURED),
        f"portside load 8080 -n 20000 {HTTP} --per-connection 1000 | grep answered": Scenario(nginx, varies=MEASURED),
    },
    "listen.md": {
        "portside listen": Scenario(),
        "portside listen 9000 --format hex --echo": Scenario(sends={"16 B": b"GET / HTTP/1.1\r\n"}),
        f"portside listen 7000 --sh-exec '{LOOP}'": Scenario(),
        # The request comes before or after the upstream server has accepted, and either side may be the first to close.
        "portside listen 8080 --forward localhost:8000": Scenario(
            web_server,
            curl_head,
            varies=(
                r"by (?:upstream|peer)",
                r"curl/[\d.]+",
                r"Python/[\d.]+",
                r"\d+ B in, \d+ B out",
            ),
            in_order=False,
        ),
        "portside listen 9000 --greet 'welcome\\n' --max-conns 1": Scenario(),
        "portside listen 8443 --tls --echo": Scenario(),
        FETCH: Scenario(lambda stage: stage.listen("8443 --tls --echo")),
        "portside listen 9000 --proxy-protocol --proxy-protocol-from 10.0.0.0/8 --format json": Scenario(
            lambda stage: stage.run("ip address add 10.0.0.5/32 dev lo"), load_balancer
        ),
    },
    "rec.md": {
        "portside listen 12345 --record DIR --echo": Scenario(peers=record_two),
        "portside rec export DIR all.pcapng": Scenario(recorded, varies=(r"\b0\.\d{9}\b",)),
        "portside rec replay DIR 1 localhost:9100": Scenario(recorded_and_two_servers),
        "portside rec search DIR AGAIN": Scenario(recorded),
        "portside rec diff DIR:1 DIR:2": Scenario(recorded),
        "portside rec check DIR": Scenario(recorded, varies=(r"\d+ whole blocks", r"\d{4} B")),
    },
    "recording.md": {
        "portside listen 12345 --record DIR": Scenario(),
    },
    "rules.md": {
        "portside listen 7000 --reply 'PING => PONG\\n' --reply 'add * * => ${2} and ${1}\\n'": Scenario(),
        "portside rules check examples/device.toml": Scenario(),
        "portside rules check bad.toml": Scenario(bad_rules),
        "nc localhost 7000": Scenario(
            lambda stage: stage.listen(f"7000 --rules {RULES}"),
            typed=("LOGIN ada secret", "DATA 21.5*1A", "DATA 21.5*18", "QUIT"),
        ),
        "portside rules test examples/device.toml device.transcript": Scenario(other_transcript),
    },
    "watch-events.md": {
        "portside watch --events 12345": Scenario(peers=come_and_go, in_order=False),
    },
    "tutorial/1-server-and-clients.md": {
        "portside listen 12345": Scenario(typed=("good morning",)),
        "nc localhost 12345": Scenario(lambda stage: stage.listen("12345"), typed=("hello",)),
    },
    "tutorial/2-kernel-table.md": {
        "portside watch 12345 --once": Scenario(lambda stage: watched(stage, 45404), in_order=False),
        "netstat -ntp | grep 12345": Scenario(lambda stage: watched(stage, 45404), in_order=False),
        "portside watch --listening 12345 --once": Scenario(watched),
    },
    "tutorial/3-queues.md": {
        "portside ctl pause 1": Scenario(lambda stage: watched(stage, 45404)),
        "portside watch 12345 --once": Scenario(paused_with_a_line, in_order=False),
        "portside ctl resume 1": Scenario(paused_with_a_line),
        "portside lab receiver-slow --for 1s": Scenario(varies=(r"\b\d{5,7}\b",)),
        "portside watch --once 'program = lab-server or program = lab-client'": Scenario(
            lambda stage: in_a_lab(stage, "receiver-slow"), varies=(r" *\b\d{5,7}\b(?!/)", r" +Send-Q"), in_order=False
        ),
        "portside watch --listening --once 'program = lab-server'": Scenario(
            lambda stage: in_a_lab(stage, "accept-queue-overflow"), varies=(r":\d{5}\b", r" +\d+(?= \d+/lab)")
        ),
    },
    "tutorial/4-states.md": {
        "portside watch 12345 --once": Scenario(one_that_has_left, in_order=False),
        "portside watch --once 'state close-wait and program = lab-server'": Scenario(
            lambda stage: in_a_lab(stage, "close-wait-leak"), varies=(r":\d{5}\b",)
        ),
    },
    "tutorial/5-diagnosis.md": {
        "portside diagnose --only close-wait-leak --set close-wait-leak.age=1s": Scenario(
            lambda stage: in_a_lab(stage, "close-wait-leak"), varies=(r"\d+",)
        ),
        "portside diagnose --only close-wait-leak": Scenario(),
    },
    "tutorial/6-recording.md": {
        "portside listen 12345 --record DIR": Scenario(),
        "portside rec list DIR": Scenario(recorded_hello),
        "portside rec export DIR all.pcapng": Scenario(recorded_hello, varies=(r"\b0\.\d{9}\b",)),
    },
    "web.md": {
        "portside listen 9000 --web 8080": Scenario(),
    },
    "watch.md": {
        "portside watch 12345 --once": Scenario(lambda stage: watched(stage, 33940, 33954), in_order=False),
        "portside watch --listening": Scenario(watched),
        "portside watch --summary": Scenario(many_past_connections),
        "sudo portside watch --kill 'sport = :12345'": Scenario(
            lambda stage: watched(stage, 33940, 33954), in_order=False
        ),
    },
}


PYTHON: dict[str, dict[str, Scenario]] = {
    "diagnose.md": {"import portside": Scenario(forgotten_connections)},
    "python.md": {
        "# echo.py: a server and a client of it, in one program": Scenario(),
        "# shout.py: the same without a loop": Scenario(),
        "# events.py: what happens on a server": Scenario(),
        "# control.py: what the clients of a running server do, and an act": Scenario(one_open_and_one_past),
        "# wait.py: ask a client, and wait for what it answers": Scenario(client_that_answers),
        "# watch.py: a connection that is too short for any polling": Scenario(),
    },
    "recording.md": {"import portside": Scenario(recorded)},
    "watch.md": {
        "import portside": Scenario(one_open_and_one_past, varies=(r"\d+$",), in_order=False),
        "from portside.kernel.snapshot import snapshot": Scenario(one_open_and_one_past, varies=(r"\d+\.\d+$",)),
    },
}

# What shows an indented sample, which is named by how it begins.
SAMPLES: dict[str, dict[str, Callable[[Stage], str]]] = {
    "diagnose.md": {'{"code":': finding_as_json},
    "events.md": {'{"version":': tls_of_opened, '{"via":': proxy_of_opened},
    "faults.md": {'{"event":"fault"': fault_event},
    "logging.md": {"20": failed_handshake_log},
    "rec.md": {'{"conn":': recording_as_json},
    "watch-events.md": {'{"event":"closed"': closed_in_watch},
    "watch.md": {'{"proto":': socket_as_json},
}


def session_of(block: Block) -> Scenario | None:
    return SESSIONS.get(block.page, {}).get(block.lines[0].removeprefix("$ "))


def sample_of(block: Block) -> Callable[[Stage], str] | None:
    found = (show for start, show in SAMPLES.get(block.page, {}).items() if block.lines[0].startswith(start))
    return next(found, None) if block.language is None else None


def show_sample(block: Block, show: Callable[[Stage], str], folder: Path) -> None:
    """Compare a sample in shape: the keys of an object, or lines among others."""
    with ExitStack() as stack:
        shown = show(Stage(folder, stack))
    if block.lines[0].startswith("{"):
        compare_keys(block, shown)
    else:
        lines = [text for line in block.lines for text in (ANY_LINES, line)]
        compare([*lines, ANY_LINES], shown.splitlines())


def stand_in_hosts(hosts: Path) -> None:
    """Put a file in the place of /etc/hosts, for the processes here, so that localhost is 127.0.0.1 on any machine."""
    hosts.write_text("127.0.0.1 localhost\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)


def main(page: str, line: str, folder: str) -> None:
    """Run one block of a page; what differs goes to standard error."""
    (path,) = (path for path in PAGES if name_of(path) == page)
    (block,) = (block for block in blocks(path) if block.line == int(line))
    stand_in_hosts(Path(folder) / "hosts")
    home = Path(folder) / "home"
    home.mkdir()
    try:
        if session := session_of(block):
            play(block, session, home)
        elif sample := PYTHON.get(page, {}).get(block.lines[0]):
            run_sample(block, output_of(block, blocks(path)), sample, home)
        else:
            show = sample_of(block)
            assert show, f"{block.place} has no scenario"
            show_sample(block, show, home)
    except AssertionError as problem:
        sys.exit(str(problem))


if __name__ == "__main__":
    main(*sys.argv[1:])

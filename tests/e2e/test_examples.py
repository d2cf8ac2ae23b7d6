"""The examples, each with the program that it is for."""

import re
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymodbus.client import ModbusTcpClient
from support import DEADLINE_S, Program

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
TESTED = {
    *("device.toml", "device.transcript", "greeter.py", "prometheus.yml"),  # by the tests of the pages that show them
    *("smtp.toml", "modbus.py", "http_client/test_faults.py", "systemd/portside.service", "systemd/portside.socket"),
    *("pytest_project/pyproject.toml", "pytest_project/mailer.py", "pytest_project/test_mailer.py"),
    "README.md",
}


@contextmanager
def listening(*arguments: str) -> Iterator[int]:
    """The port of ``portside listen`` with these arguments."""
    server = Program("listen", "127.0.0.1:0", *arguments)
    try:
        yield server.port
    finally:
        server.kill()


def test_all_of_them_are_tested_and_listed() -> None:
    there = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob("*") if path.is_file()}
    assert {path for path in there if "__pycache__" not in path} == TESTED
    listed = set(re.findall(r"\]\((?!\.\.)([^)]+)\)", (EXAMPLES / "README.md").read_text()))
    assert listed == TESTED - {"README.md"}


def test_mail_is_sent() -> None:
    with listening("--rules", str(EXAMPLES / "smtp.toml")) as port, smtplib.SMTP("127.0.0.1", port, "me") as client:
        client.ehlo()
        assert client.esmtp_features["size"] == "10485760"
        refused = client.sendmail(
            "me@example", ["you@example", "slow@example", "full@example"], "Subject: x\n\n..\nDATA\n"
        )
        assert refused == {"full@example": (452, b"4.2.2 mailbox full")}
        assert client.docmd("VRFY you") == (502, b"5.5.1 VRFY you is not known here")
        assert client.rset()[0] == 250


def test_a_modbus_client_reads_and_writes() -> None:
    with listening("--handler", f"{EXAMPLES / 'modbus.py'}:serve") as port:
        client = ModbusTcpClient("127.0.0.1", port=port, timeout=DEADLINE_S, retries=0)
        assert client.connect()  # type: ignore[no-untyped-call]
        try:
            client.write_register(7, 1234)
            client.write_registers(8, [1, 2, 65535])
            assert client.read_holding_registers(6, count=6).registers == [0, 1234, 1, 2, 65535, 0]
            assert client.read_holding_registers(99, count=2).exception_code == 2
            assert client.read_coils(0, count=1).exception_code == 1
        finally:
            client.close()  # type: ignore[no-untyped-call]


@pytest.mark.parametrize(("folder", "tests"), [("http_client", 7), ("pytest_project", 5)])
def test_the_tests_of_a_program_pass(folder: str, tests: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLES / folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{tests} passed", done.stdout, re.MULTILINE), done.stdout


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    program = tmp_path / "portside"
    program.symlink_to("/bin/true")
    for name in ("portside.service", "portside.socket"):
        unit = (EXAMPLES / "systemd" / name).read_text()
        (tmp_path / name).write_text(unit.replace("/usr/local/bin/portside", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "portside.service")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_command_of_the_unit_serves_the_socket_of_systemd(tmp_path: Path) -> None:
    (command,) = re.findall(r"^ExecStart=/usr/local/bin/portside (.*)$", _unit("service"), re.MULTILINE)
    words = command.replace("${STATE_DIRECTORY}", str(tmp_path)).split()
    path = f"{tmp_path}/portside.sock"
    server = Program(*words, command=("systemd-socket-activate", "-l", path, sys.executable, "-m", "portside"))
    try:
        server.wait_for("Listening on", err=True)
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE_S)
            client.connect(path)
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
        server.wait_for('"closed"')
    finally:
        server.kill()
    assert (tmp_path / "recording").is_dir()


def _unit(kind: str) -> str:
    return (EXAMPLES / f"systemd/portside.{kind}").read_text()

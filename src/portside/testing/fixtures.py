"""What one test has of the plugin: its servers, proxies and clients, their recordings, and what is wrong with them.

Nothing of pytest is imported here: ``plugin`` makes one ``TestPeers`` for a test, and asks it.
"""

import os
import re
import shutil
import socket
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Unpack

from portside.api.handlers import Handler
from portside.errors import PortsideError
from portside.socket_class import Socket
from portside.testing.client import TcpClient
from portside.testing.leaks import Identity, find_leaks, open_sockets
from portside.testing.proxy import TcpProxy, Upstream
from portside.testing.script import Fault, as_fault
from portside.testing.server import ScriptFailed, ScriptProblems, TcpServer

if TYPE_CHECKING:
    from portside.api.options import ConnectOptions, ListenOptions
    from portside.testing.leaks import OpenSocket

_LONGEST_NAME = 120  # characters of a folder's name
_BEHAVIOURS = ("echo", "chat", "broker")
_SERVES = ("exec", "sh_exec", "forward", "rules", "reply", *_BEHAVIOURS)  # options of listen that answer clients
_BLOCKED = (
    "pytest-socket blocks the sockets of this test, those of Portside's servers excepted: mark it with"
    " @pytest.mark.enable_socket, or run with --allow-hosts=127.0.0.1 instead of --disable-socket"
)


class Section(NamedTuple):
    """A part of the report of a failed test."""

    title: str
    text: str


class TestPeers:
    """The servers, proxies and clients of one test.

    ``record_to`` is the folder for recordings of failed tests, None for none; ``name`` is the test's own.
    """

    __test__ = False

    def __init__(self, name: str, record_to: str | None) -> None:
        self._record_to = None if record_to is None else Path(record_to)
        self._name = name
        self._pid = os.getpid()
        self.servers: list[TcpServer] = []
        self.proxies: list[TcpProxy] = []
        self.clients: list[TcpClient] = []
        self._recordings: list[Path] = []
        self._shown: set[object] = set()
        self._counts: dict[str, int] = {}
        self.outcome: Literal["passed", "failed", "skipped"] | None = None  # None: the run was interrupted
        self.is_used_by_others = False  # by a fixture that may talk to a server when it is torn down
        self.dependents = {"tcp_server", "tcp_server_factory", "tcp_proxy", "tcp_client"}  # fixtures that use these

    @property
    def is_own(self) -> bool:
        """Whether this is the process that has opened them: one that was forked leaves them alone."""
        return self._pid == os.getpid()

    @property
    def _all(self) -> list[TcpServer | TcpProxy | TcpClient]:
        return [*self.clients, *self.servers, *self.proxies]

    # Making them.

    def add_server(self, label: str, addresses: Iterable[str | int] = (), **keywords: Any) -> TcpServer:
        """A new server of the test. Raises PortsideError."""
        __tracebackhide__ = True
        label = self._label(label)
        try:
            server = TcpServer(label, tuple(addresses), record=self._recording(label), **keywords)
        except PortsideError as error:
            raise _readable(error) from None
        self.servers.append(server)
        return server

    def add_proxy(self, upstream: "Upstream", options: dict[str, Any]) -> TcpProxy:
        """A new proxy of the test. Raises PortsideError, and RuntimeError where sockets are blocked."""
        __tracebackhide__ = True
        if blocked_words():
            raise RuntimeError(f"tcp_proxy cannot connect to {upstream}: {_BLOCKED}")
        label = self._label("tcp_proxy")
        try:
            proxy = TcpProxy(label, upstream, options, record=self._recording(label))
        except PortsideError as error:
            raise _readable(error) from None
        self.proxies.append(proxy)
        return proxy

    def add_client(self, address: "Upstream", options: dict[str, Any]) -> TcpClient:
        """A new client of the test. Raises PortsideError."""
        __tracebackhide__ = True
        label = self._label("tcp_client")
        if (folder := self._recording(label)) is not None:
            options["record"] = folder
        try:
            client = TcpClient.open(address, **options)
        except PortsideError as error:
            raise _readable(error) from None
        client.label = label
        self.clients.append(client)
        return client

    def _label(self, label: str) -> str:
        count = self._counts[label] = self._counts.get(label, 0) + 1
        return label if count == 1 else f"{label} {count}"

    def _recording(self, label: str) -> str | None:
        """A new folder for a recording; that of an earlier run is left as it is."""
        if self._record_to is None:
            return None
        name = re.sub(r"[^\w.=+-]+", "-", f"{self._name}-{label}").strip("-")[-_LONGEST_NAME:]
        folder = self._record_to / name
        count = 1
        while folder.exists():
            count += 1
            folder = self._record_to / f"{name}-{count}"
        folder.mkdir(parents=True)
        self._recordings.append(folder)
        return os.fspath(folder)

    # What came of them.

    def verify(self, *, is_final: bool) -> str | None:
        """The text that fails the test; None where all is well. Unless ``is_final``, what is missing may still come."""
        if not self.is_own:
            return None
        found: list[ScriptProblems] = []
        for server in self.servers:
            each = server.findings(is_final=is_final)
            if each is not None and (is_final or each.is_final) and server not in self._shown:
                self._shown.add(server)
                found.append(each)
        if not found:
            return None
        self.outcome = "failed"
        return "\n\n".join([*(each.text for each in found), *self._recorded()])

    def sections(self, failure: BaseException | None) -> list[Section]:
        """Sections for the report of a failed test about its servers, proxies and clients; each is shown once."""
        if not self.is_own:
            return []
        sections = []
        if failure is not None and type(failure).__name__ in ("SocketBlockedError", "SocketConnectBlockedError"):
            sections.append(Section("portside", _BLOCKED))
        if isinstance(failure, ScriptFailed) and isinstance(failure.source, TcpServer):
            self._shown.add(failure.source)  # the failure itself has it all
        for each in self._all:
            if each not in self._shown:
                self._shown.add(each)
                try:
                    text = each.report()
                except (PortsideError, TimeoutError) as error:  # the thread has ended, or a reply's function hangs
                    text = f"no transcript: {error}"
                sections.append(Section(each.label, text))
        if sections and self._recordings:
            sections.append(Section("portside recording", "\n".join(self._recorded())))
        return sections

    def _recorded(self) -> list[str]:
        return [f"recorded: portside rec show {folder}" for folder in self._recordings]

    def close(self) -> None:
        """Close them all, and discard the recordings of a test that has passed."""
        if not self.is_own:
            return
        for each in self._all:
            with suppress(PortsideError, TimeoutError):
                each.close()
        if self.outcome in ("passed", "skipped"):
            for folder in self._recordings:
                shutil.rmtree(folder, ignore_errors=True)


def blocked_words() -> str | None:
    """Why sockets cannot be made in this test, in words; None where they can."""
    if socket.socket is Socket:
        return None
    try:
        socket.socket().close()
    except RuntimeError:  # as pytest-socket raises
        return _BLOCKED
    return None


def _readable(error: PortsideError) -> PortsideError:
    """An error without the frames of Portside, and with its hint as a note: pytest shows what the test has done."""
    if error.hint is not None:
        error.add_note(f"hint: {error.hint}")
    return error.with_traceback(None)


def _with_faults(options: Mapping[str, Any], faults: "Fault | Iterable[Fault]") -> dict[str, Any]:
    """Options of ``listen``, with faults."""
    given = dict(options)
    if faults:
        specs = (faults,) if isinstance(faults, str) or not isinstance(faults, Iterable) else faults
        given["fault"] = [as_fault(each) for each in specs]
    return given


class TcpServerFactory:
    """Makes servers of a test: the fixture ``tcp_server_factory``.

    Example::

        def test_tls(tcp_server_factory):
            server = tcp_server_factory(tls=True, faults=["latency 20ms"])
    """

    def __init__(self, peers: TestPeers) -> None:
        """For Portside itself."""
        self._peers = peers

    def __call__(
        self,
        *,
        faults: "Fault | Iterable[Fault]" = (),
        behaviour: Handler | Literal["echo", "chat", "broker"] | None = None,
        address: str | int = "127.0.0.1:0",
        **options: "Unpack[ListenOptions]",
    ) -> TcpServer:
        """A new server, which is closed at the end of the test.

        ``tls=True`` has a certificate made, which ``client_context()`` of the server trusts. ``faults`` are written as
        for ``--fault``, or values of ``testing.faults``. Without ``behaviour`` the server plays a script; with
        ``"echo"``, ``"chat"``, ``"broker"``, an async function that is called with each ``portside.Connection``, or an
        option that answers clients (``reply=``, ``rules=`` …), it does that. All other keywords are options of
        ``portside.listen``. Raises PortsideError where it cannot listen on ``address``, UsageError for wrong options.
        """
        __tracebackhide__ = True
        given = _with_faults(options, faults)
        certificate = None
        if given.get("tls"):
            if given.get("tls_cert") is None:
                given["tls_cert"], certificate = self_signed_files()
            else:
                certificate = Path(given["tls_cert"])
        handler = None
        if isinstance(behaviour, str):
            if behaviour not in _BEHAVIOURS:
                raise ValueError(f"{behaviour!r} is no behaviour: write one of {', '.join(_BEHAVIOURS)}, or a function")
            given[behaviour] = True
        elif behaviour is not None:
            handler = behaviour
        is_scripted = behaviour is None and not any(given.get(name) for name in _SERVES)
        return self._peers.add_server(
            "tcp_server_factory",
            [address],
            options=given,
            handler=handler,
            is_scripted=is_scripted,
            certificate=certificate,
        )


class TcpProxyFactory:
    """Makes proxies of a test: the fixture ``tcp_proxy``.

    Example::

        def test_slow(tcp_proxy):
            proxy = tcp_proxy("127.0.0.1:6379", faults=["latency 200ms"])
    """

    def __init__(self, peers: TestPeers) -> None:
        """For Portside itself."""
        self._peers = peers

    def __call__(
        self, upstream: "Upstream", *, faults: "Fault | Iterable[Fault]" = (), **options: "Unpack[ListenOptions]"
    ) -> TcpProxy:
        """A new relay to ``upstream``: a server of this test, an address, a port of this machine, or host and port.

        ``faults`` are written as for ``--fault``, or values of ``testing.faults``; other keywords are options of
        ``portside.listen``. Raises PortsideError, and RuntimeError where pytest-socket blocks the way to ``upstream``.
        """
        __tracebackhide__ = True
        return self._peers.add_proxy(upstream, _with_faults(options, faults))


class TcpClientFactory:
    """Connects to the server under test: the fixture ``tcp_client``.

    Example::

        def test_ping(tcp_client):
            client = tcp_client("127.0.0.1:12345")
            client.send(b"PING\\n")
            client.expect(b"PONG\\n")
    """

    def __init__(self, peers: TestPeers) -> None:
        """For Portside itself."""
        self._peers = peers

    def __call__(self, address: "Upstream", **options: "Unpack[ConnectOptions]") -> TcpClient:
        """A new connection to an address, with options of ``portside.connect``; closed at the end of the test.

        Raises PortsideError where it cannot connect.
        """
        __tracebackhide__ = True
        return self._peers.add_client(address, dict(options))


class TcpLeaks:
    """Watches the TCP sockets of the process: the fixture ``tcp_leaks``, which fails a test that leaves some open.

    Example::

        def test_pool(tcp_leaks, tcp_server):
            pool = Pool(tcp_server.port)
            pool.close()
            assert not tcp_leaks.open
    """

    def __init__(self, peers: "Callable[[], TestPeers | None]") -> None:
        """For Portside itself. ``peers`` are the test's own, whose sockets do not count."""
        self._peers = peers
        self._before: set[Identity] = set(open_sockets())

    @property
    def open(self) -> "list[OpenSocket]":
        """The sockets that are open now and were not at the start of the test, those of Portside's own excepted."""
        return find_leaks(self._before, self._own())

    def _own(self) -> set[Identity]:
        peers = self._peers()
        if peers is None:
            return set()
        return {identity for each in (*peers.servers, *peers.proxies) for identity in each.sockets()}


_files: list[tuple[Path, Path]] = []


def self_signed_files() -> tuple[Path, Path]:
    """A certificate with its key in one file, and the certificate alone in another; one pair for the whole run."""
    if not _files:
        import atexit
        import tempfile

        from portside.tls.self_signed import make_certificate

        certificate, key = make_certificate()
        folder = Path(tempfile.mkdtemp(prefix="portside-testing-"))  # mode 0700
        atexit.register(_remove, folder, os.getpid())
        both, alone = folder / "server.pem", folder / "certificate.pem"
        both.write_bytes(certificate + key)
        alone.write_bytes(certificate)
        _files.append((both, alone))
    return _files[0]


def _remove(folder: Path, pid: int) -> None:
    if pid == os.getpid():
        shutil.rmtree(folder, ignore_errors=True)

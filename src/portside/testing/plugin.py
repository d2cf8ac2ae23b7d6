"""The pytest plugin: fixtures, and the hooks that fail a test whose conversation was not as expected.

pytest loads this module in every run where Portside is installed, so it imports nothing else of Portside until a test
uses it: when tests that do were collected, before the first of them runs, and so before another plugin has put
something in the place of ``socket.socket``.

A test fails when its body is over: what came unexpectedly always does, what has not come only where no other fixture
may still talk to the server when it is torn down. There it fails when the server is torn down. The body's own failure
is never hidden: what the server knows becomes a section of its report.
"""

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from portside.testing.fixtures import TcpClientFactory, TcpLeaks, TcpProxyFactory, TcpServerFactory, TestPeers
    from portside.testing.server import TcpServer

_FIXTURES = frozenset({"tcp_server", "tcp_server_factory", "tcp_client", "tcp_proxy", "tcp_leaks"})
_PEERS: "pytest.StashKey[TestPeers]" = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the options of the command line."""
    parser.getgroup("portside").addoption(
        "--portside-record",
        metavar="DIR",
        help="keep a recording of each failed test's connections in DIR, for `portside rec`",
    )


def pytest_collection_finish(session: pytest.Session) -> None:
    """Load what the tests use, and have ``tcp_leaks`` watch all other fixtures of a test."""
    is_used = False
    for item in session.items:
        names: list[str] = getattr(item, "fixturenames", [])
        if _FIXTURES.isdisjoint(names):
            continue
        is_used = True
        if "tcp_leaks" in names:
            _set_up_early(item, names)
    if is_used and not session.config.getoption("collectonly", default=False):
        _load()


def _load() -> None:
    from portside.api.loop_thread import loop_thread
    from portside.testing import fixtures  # noqa: F401

    loop_thread()


def _set_up_early(item: pytest.Item, names: list[str]) -> None:
    """Have ``tcp_leaks`` set up before all other fixtures of a test, and so torn down after them."""
    defined = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    names.remove("tcp_leaks")
    own = (at for at, name in enumerate(names) if name in defined and defined[name][-1].scope == "function")
    names.insert(next(own, len(names)), "tcp_leaks")


def pytest_unconfigure() -> None:
    """End the thread of the servers."""
    import sys

    if (loop_thread := sys.modules.get("portside.api.loop_thread")) is not None:
        loop_thread.stop_loop_thread()


# The fixtures.


@pytest.fixture
def _portside_peers(request: pytest.FixtureRequest) -> "Iterator[TestPeers]":
    """The servers, proxies and clients of one test."""
    from portside.testing.fixtures import TestPeers

    node = request.node
    peers = node.stash[_PEERS] = TestPeers(node.nodeid, request.config.getoption("portside_record"))
    yield peers
    try:
        # A body that was interrupted has no outcome, and one that has failed is reported already.
        failure = peers.verify(is_final=True) if peers.outcome == "passed" else None
    finally:
        peers.close()
    if failure is not None:
        pytest.fail(failure, pytrace=False)


@pytest.fixture
def tcp_server(_portside_peers: "TestPeers") -> "TcpServer":
    """A scripted TCP server on a free port of 127.0.0.1, on a thread of its own."""
    return _portside_peers.add_server("tcp_server")


@pytest.fixture
def tcp_server_factory(_portside_peers: "TestPeers") -> "TcpServerFactory":
    """Makes TCP servers: tcp_server_factory(tls=…, faults=[…], behaviour=…, address=…)."""
    from portside.testing.fixtures import TcpServerFactory

    return TcpServerFactory(_portside_peers)


@pytest.fixture
def tcp_proxy(_portside_peers: "TestPeers") -> "TcpProxyFactory":
    """Makes relays to a real server, with faults: tcp_proxy(upstream, faults=[…])."""
    from portside.testing.fixtures import TcpProxyFactory

    return TcpProxyFactory(_portside_peers)


@pytest.fixture
def tcp_client(_portside_peers: "TestPeers") -> "TcpClientFactory":
    """Connects to the server under test: tcp_client(address)."""
    from portside.testing.fixtures import TcpClientFactory

    return TcpClientFactory(_portside_peers)


@pytest.fixture
def tcp_leaks(request: pytest.FixtureRequest) -> "Iterator[TcpLeaks]":
    """Fails a test that leaves TCP sockets in CLOSE_WAIT, or open at all."""
    from portside.testing.fixtures import TcpLeaks
    from portside.testing.leaks import leaks_text

    leaks = TcpLeaks(lambda: request.node.stash.get(_PEERS, None))
    yield leaks
    if found := leaks.open:
        pytest.fail(leaks_text(found), pytrace=False)


# The outcome of a test.


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: "pytest.FixtureDef[object]", request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    """Note the fixtures that have a server: they may talk to it when they are torn down."""
    if fixturedef.argnames and fixturedef.argname not in _FIXTURES and fixturedef.scope == "function":
        peers = request.node.stash.get(_PEERS, None)
        if peers is not None and not peers.dependents.isdisjoint(fixturedef.argnames):
            peers.dependents.add(fixturedef.argname)
            peers.is_used_by_others = True
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test whose body has passed and whose conversation was not as expected."""
    __tracebackhide__ = True  # what the test raises passes here
    yield
    __tracebackhide__ = False
    peers = item.stash.get(_PEERS, None)
    if peers is not None:
        failure = peers.verify(is_final=not peers.is_used_by_others)
        if failure is not None:
            pytest.fail(failure, pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: "pytest.CallInfo[None]"
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the servers know to the report of a failed test."""
    report = yield
    peers = item.stash.get(_PEERS, None)
    if peers is None:
        return report
    failure = call.excinfo.value if call.excinfo is not None else None
    if isinstance(failure, pytest.skip.Exception):
        peers.outcome = "skipped"
    elif failure is not None:
        peers.outcome = "failed"
        if call.when != "teardown":
            report.sections += [(title, text) for title, text in peers.sections(failure)]
    elif call.when == "call":
        peers.outcome = "passed"
    return report

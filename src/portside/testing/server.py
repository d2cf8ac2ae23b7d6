"""``tcp_server``: a scripted peer."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from portside.api.handlers import Handler
from portside.errors import PortsideError
from portside.testing.literals import shorten
from portside.testing.peer import CALL_S, Peer, turn
from portside.testing.player import Play, Player
from portside.testing.report import (
    failure_text,
    first_problems,
    missing_title,
    problem_title,
    script_lines,
    transcript_lines,
)
from portside.testing.script import Script, Scripts, ScriptWriter
from portside.units import parse_duration
from portside.wire.frame import parse_frame

if TYPE_CHECKING:
    import ssl

    from portside.api.options import Duration

PATIENCE_S = 1.0  # for what is missing at the end of a test, while a client is connected


class ScriptFailed(AssertionError):
    """Something has come that was not expected, or not come: the text says what, with the difference.

    ``source`` is the server or client that says so, None after pickling.
    """

    source: object = None


class ScriptProblems(NamedTuple):
    """Problems in the conversations of a server until now: one line, and the whole text."""

    title: str
    text: str
    is_final: bool  # something came that was not expected; otherwise what is missing may still come


class TcpServer(ScriptWriter, Peer):
    """A server that plays a script to its clients: ``expect`` says what they send, ``reply`` what they get back.

    Methods of the script are about the first connection; ``on_connection(2)`` and ``every_connection()`` have scripts
    of their own. Something unexpected closes its connection, and fails the test, as does what has not come at its end.

    Example::

        def test_login(tcp_server):
            tcp_server.greet(b"220 ready\\r\\n")
            tcp_server.expect(b"HELO me\\r\\n").reply(b"250 ok\\r\\n")
            login(tcp_server.host, tcp_server.port)
    """

    def __init__(
        self,
        label: str,
        addresses: Sequence[str | int] = (),
        options: Mapping[str, Any] | None = None,
        *,
        handler: Handler | None = None,
        is_scripted: bool = True,
        record: str | None = None,
        certificate: Path | None = None,
    ) -> None:
        """For Portside itself."""
        options = options or {}
        frame = options.get("frame")
        self._scripts = Scripts(parse_frame(frame) if isinstance(frame, str) else None)
        self._player: Player | None = None
        self._certificate = certificate
        super().__init__(
            label,
            addresses,
            options,
            handler=handler,
            make_behaviour=self._make_player if is_scripted else lambda: None,
            record=record,
            flags=("--handler",) if is_scripted else (),
        )

    def _make_player(self) -> Player:
        self._player = Player(self.thread.loop, self._scripts, self.put_fault)
        return self._player

    # TLS.

    @property
    def certificate(self) -> Path:
        """The file (PEM) of the certificate that a client has to trust. Raises RuntimeError without TLS."""
        if self._certificate is None:
            raise RuntimeError("this server has no TLS: tcp_server_factory(tls=True) has")
        return self._certificate

    def client_context(self) -> "ssl.SSLContext":
        """An ``ssl.SSLContext`` for clients, which trusts this server alone. Raises RuntimeError without TLS.

        Example::

            server = tcp_server_factory(tls=True)
            client = smtplib.SMTP_SSL("localhost", server.port, context=server.client_context())
        """
        import ssl

        return ssl.create_default_context(cafile=os.fspath(self.certificate))

    # The script.

    @property
    def _script(self) -> Script:
        if self._player is None:
            raise RuntimeError("this server has a behaviour, and so no script")
        return self._scripts.first

    def on_connection(self, number: int) -> Script:
        """The script of the second connection, or a later one; those before it may come too.

        Example::

            tcp_server.expect(b"PING\\n").reset()
            tcp_server.on_connection(2).expect(b"PING\\n").reply(b"PONG\\n")
        """
        self._script  # noqa: B018 - raises where there is none
        return self._scripts.numbered_one(number)

    def every_connection(self) -> Script:
        """The script that each connection plays from its beginning which has none of its own; any number may come.

        Example::

            tcp_server.every_connection().expect(b"PING\\n").reply(b"PONG\\n")
        """
        self._script  # noqa: B018
        return self._scripts.for_every()

    # What came of it.

    def wait(self, timeout: "Duration" = 5.0) -> None:
        """Wait until all that is expected has come. Raises ScriptFailed when it takes longer, or something else comes.

        For clients in other processes and threads. In a coroutine: ``await asyncio.to_thread(tcp_server.wait)``.

        Example::

            process = subprocess.Popen(["my-client", str(tcp_server.port)])
            tcp_server.wait("10s")
        """
        __tracebackhide__ = True
        self._wait(parse_duration(str(timeout)))
        self.check()

    def check(self) -> None:
        """Raise ScriptFailed where something has come that was not expected, or not all has come by now.

        The end of the test does the same.

        Example::

            tcp_server.check()
        """
        __tracebackhide__ = True
        found = self.findings()
        if found is not None:
            failed = ScriptFailed(found.text)
            failed.source = self
            raise failed

    def _wait(self, seconds: float) -> None:
        if self._player is not None:
            self.thread.call(self._player.wait_complete(seconds), seconds + 5)

    def expects_more(self, number: int) -> bool:
        play = None if self._player is None else self._player.plays.get(number)
        return play is not None and not play.is_over and bool(self.get(play.pending))

    def findings(self, *, is_final: bool = False) -> ScriptProblems | None:
        """Problems until now; None where all is as it was expected.

        With ``is_final`` a client that is connected has a second for what is missing.
        """
        player = self._player
        if player is None:
            return None
        try:
            return self.thread.call(self._conclude(player, is_final=is_final), CALL_S)
        except PortsideError as error:
            text = f"{self.label}: {error}"
            return ScriptProblems(text, text, is_final=True)

    async def _conclude(self, player: Player, *, is_final: bool) -> ScriptProblems | None:
        await turn()
        if is_final and player.is_open and not player.is_complete:
            await player.wait_complete(PATIENCE_S, from_open=True)
        return self._find(player)

    def _find(self, player: Player) -> ScriptProblems | None:
        problems = player.problems
        if player.is_complete and not problems:
            return None
        title = problem_title(problems[0]) if problems else self._missing_title(player)
        title = f"{self.label}: {title}"
        parts: list[tuple[str, Sequence[str]]] = [("", first_problems(problems))] if problems else []
        return ScriptProblems(title, failure_text(title, [*parts, *self._parts(player)]), bool(problems))

    def _missing_title(self, player: Player) -> str:
        scripts = self._scripts
        for number, script in scripts.numbered.items():
            if number not in player.plays and scripts.of(number) is script and not script.is_empty:
                title = missing_title([each for group in script.groups for each in group.expectations], {})
                nobody = "nobody has connected" if not player.plays else f"there was no connection #{number}"
                return f"{nobody}: {title}"
        for play in player.plays.values():
            if missing := play.missing():
                return f"{missing_title(missing, play.came)} on connection #{play.number}{_waiting(play)}"
        return "nobody has connected"

    def _parts(self, player: Player) -> Iterator[tuple[str, list[str]]]:
        yield "", list(script_lines(self._scripts, player))
        yield f"transcript of {self.address}:", list(transcript_lines(self.whole))

    def report(self) -> str:
        """The script with what came of it and the transcript, for a test that has failed otherwise."""
        player = self._player
        if player is None:
            return super().report()

        def make() -> str:
            found = self._find(player)
            return failure_text("", self._parts(player)).strip("\n") if found is None else found.text

        self.settle()
        return self.get(make)


def _waiting(play: Play) -> str:
    """The beginning of something that is not complete."""
    size = play.incoming.size
    return f", which sent {shorten(play.incoming.head(64), 40, size)} of it" if size else ""

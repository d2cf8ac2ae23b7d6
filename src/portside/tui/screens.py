"""The help of ``watch``, and the details of one socket over the table."""

from portside.diagnosis.findings import Finding
from portside.kernel.models import Socket
from portside.tui.details import detail_lines, title
from portside.tui.pages import Page

HELP = """\
Every TCP connection of this machine as the kernel sees it.
Recv-Q: what the program has not read. Send-Q: what the peer has not
acknowledged. Of a listener: its accept queue, and that queue's limit.

  Up Down PageUp PageDown Home End   select a socket; Escape selects none
  Enter      everything about it
  k          destroy it, as `ss -K` does; asks first
  /          filter as you type: Enter keeps it, Escape takes it back
  < >        sort by the column to the left or right
  1 … 9      sort by a column; once more, or r, turns it round
  f          what is wrong (with --wide): !! critical, ! warning, · info
  space      pause, and go on
  q Ctrl-C   quit

A filter is written as for ss; 12345 means that either end has this port:
  state established exclude time-wait
  ( sport = :443 or dport = :443 ) and recvq > 0
  dst 10.0.0.0/8 and pid = 53140      program = nc and rtt > 50ms
  retrans > 0 and age > 60s

New sockets are bold green, what changed is underlined and yellow, and what
is gone is struck through for some seconds."""


class Details(Page):
    """The details of one socket, refreshed as long as the socket exists."""

    def __init__(self, key: int, socket: Socket, age_s: float, findings: tuple[Finding, ...] = ()) -> None:
        super().__init__(title(socket), "")
        self.key = key
        self._socket = socket
        self._age_s = age_s
        self._gone = False
        self._findings = findings

    def on_mount(self) -> None:
        """The text needs to know how wide the screen is."""
        self._show()

    def on_resize(self) -> None:
        """As above."""
        self._show()

    def update_socket(self, socket: Socket | None, age_s: float, findings: tuple[Finding, ...] = ()) -> None:
        """Show the socket as it is now, with what it is part of; None: the socket is gone."""
        self._gone = socket is None
        if socket is not None:
            self._socket, self._age_s, self._findings = socket, age_s, findings
        self._show()

    def _show(self) -> None:
        lines = detail_lines(self._socket, self._age_s, self.size.width - 2, self._findings)
        self.put(("GONE, as it was last: " if self._gone else "") + title(self._socket), "\n".join(lines))

"""Loading the rules of a run: before the port opens, and again on SIGHUP."""

import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING

from portside.app.notices import write_notice
from portside.errors import PortsideError, reason_of
from portside.settings.listen import Listen
from portside.units import counted
from portside.wire.frame import Frame
from portside.wire.rules.inline_rules import read_replies
from portside.wire.rules.rules_file import read_rules
from portside.wire.rules.ruleset import RulesError
from portside.wire.rules.session import CompiledRules

if TYPE_CHECKING:  # rules are read before the port is open, the loop is loaded after
    import asyncio

    from portside.behaviours.rules import Rules
    from portside.server.behaviour import Behaviour
    from portside.server.connection import Publish

LARGEST_FILE = 4 << 20  # bytes
DEFAULT_FRAME = Frame("lines")


def read_file(path: str) -> CompiledRules:
    """The rules of a file. Raises RulesError for wrong rules, PortsideError where the file cannot be read."""
    try:
        # A FIFO must not stop us; opening one for reading without waiting succeeds.
        with open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
                raise PortsideError(f"cannot read {path}", "it is a pipe", "rules are read again on SIGHUP: use a file")
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise PortsideError(f"cannot read {path}", error) from None
    if len(data) > LARGEST_FILE:
        raise RulesError(f"{path}:1:1", f"more than {LARGEST_FILE >> 20} MiB of rules")
    try:
        document = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise RulesError(f"{path}:{line}:{column}", "no UTF-8", "TOML is UTF-8") from None
    return CompiledRules(read_rules(document, path))


@lru_cache(maxsize=1)
def load_rules(rules: str | None, replies: tuple[str, ...]) -> CompiledRules:
    """The rules of ``--rules`` or ``--reply``, read once, before the port is open. Raises PortsideError."""
    return read_file(rules) if rules is not None else CompiledRules(read_replies(replies))


def frame_of(rules: CompiledRules, given: Frame | None) -> Frame:
    """The framing of messages: that of --frame, else that of the file, else lines."""
    return given or rules.rule_set.frame or DEFAULT_FRAME


def rules_behaviour(settings: Listen, publish: "Publish") -> "Rules":
    """The behaviour that answers by the rules of some settings.

    ``publish`` takes an event for each rule that applies, unless nobody would see it.
    """
    from portside.behaviours.rules import Rules

    rules = load_rules(settings.rules, settings.reply)
    is_shown = settings.format not in ("raw", "classic") or bool(settings.output) or settings.record is not None
    return Rules(rules, frame_of(rules, settings.frame), settings.max_frame, publish if is_shown else None)


class RulesReloader:
    """Rereads the rules file on a thread. After an error in it, a notice follows and the old rules stay."""

    def __init__(self, path: str, given: Frame | None, behaviour: "Behaviour | None") -> None:
        from portside.behaviours.rules import Rules

        self._path = path
        self._given = given
        self._behaviour = behaviour if isinstance(behaviour, Rules) else None
        self._reading = False
        self._again = False

    def start(self) -> None:
        """Begin to read. A call while the file is being read has it read once more afterwards."""
        if self._reading:
            self._again = True
            return
        import asyncio

        self._reading = True
        reading = asyncio.get_running_loop().run_in_executor(None, read_file, self._path)
        reading.add_done_callback(self._done)

    def _done(self, reading: "asyncio.Future[CompiledRules]") -> None:
        self._reading = False
        if self._again:
            self._again = False
            self.start()
        if reading.cancelled():
            return
        error = reading.exception()
        if error is None:
            rules = reading.result()
            if self._behaviour is not None:
                self._behaviour.swap_rules(rules, frame_of(rules, self._given))
            write_notice(f"{self._path}: read again: {counted(len(rules.rule_set.rules), 'rule')}")
            return
        words = str(error) if isinstance(error, PortsideError) else reason_of(error)
        hint = error.hint if isinstance(error, PortsideError) else None
        write_notice(words, f"{hint}; the old rules go on" if hint else "the old rules go on")

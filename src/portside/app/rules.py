"""The rules of a run: read before the port is open, and again on SIGHUP."""

import os
import stat
from functools import lru_cache
from typing import TYPE_CHECKING

from portside.app.notices import write_notice
from portside.errors import PortsideError, reason_of
from portside.settings.listen import Listen
from portside.wire.frame import Frame
from portside.wire.rules.inline_rules import parse_inline_rules
from portside.wire.rules.rules_file import parse_rules
from portside.wire.rules.ruleset import InvalidRules
from portside.wire.rules.session import CompiledRules

if TYPE_CHECKING:  # rules are read before the port is open, the loop is loaded after
    import asyncio

    from portside.behaviours.rules import Rules
    from portside.server.behaviour import Behaviour

LARGEST_FILE = 4 << 20  # bytes
DEFAULT_FRAME = Frame("lines")


def read_rules_file(path: str) -> CompiledRules:
    """The rules of a file. Raises InvalidRules where they are wrong, PortsideError where it cannot be read."""
    try:
        # A FIFO must not stop us; opening one for reading without waiting succeeds.
        with open(path, "rb", opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)) as file:
            if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode):
                raise PortsideError(f"cannot read {path}", "it is a pipe", "rules are read again on SIGHUP: use a file")
            data = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise PortsideError(f"cannot read {path}", error) from None
    if len(data) > LARGEST_FILE:
        raise InvalidRules(f"{path}:1:1", f"more than {LARGEST_FILE >> 20} MiB of rules")
    try:
        document = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        column = error.start - data.rfind(b"\n", 0, error.start)
        raise InvalidRules(f"{path}:{line}:{column}", "no UTF-8", "TOML is UTF-8") from None
    return CompiledRules(parse_rules(document, path))


@lru_cache(maxsize=1)
def load_rules(rules: str | None, replies: tuple[str, ...]) -> CompiledRules:
    """What ``--rules`` or ``--reply`` say at the start: once, before the port is open. Raises PortsideError."""
    return read_rules_file(rules) if rules is not None else CompiledRules(parse_inline_rules(replies))


def effective_frame(rules: CompiledRules, given: Frame | None) -> Frame:
    """How messages are cut: as --frame says, then the file, then in lines."""
    return given or rules.rule_set.frame or DEFAULT_FRAME


def rules_behaviour(settings: Listen) -> "Rules":
    """What answers by the rules of these settings."""
    from portside.behaviours.rules import Rules

    rules = load_rules(settings.rules, settings.reply)
    return Rules(rules, effective_frame(rules, settings.frame), settings.max_frame)


class RulesReloader:
    """Reads a file of rules again, in a thread: what is wrong with it is said, and the old rules go on."""

    def __init__(self, path: str, given: Frame | None, behaviour: "Behaviour | None") -> None:
        from portside.behaviours.rules import Rules

        self._path = path
        self._given = given
        self._behaviour = behaviour if isinstance(behaviour, Rules) else None
        self._reading = False
        self._again = False

    def start(self) -> None:
        """Begin; one that is asked for meanwhile follows."""
        if self._reading:
            self._again = True
            return
        import asyncio

        self._reading = True
        reading = asyncio.get_running_loop().run_in_executor(None, read_rules_file, self._path)
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
                self._behaviour.replace(rules, effective_frame(rules, self._given))
            write_notice(f"{self._path}: read again: {len(rules.rule_set.rules)} rules")
            return
        words = str(error) if isinstance(error, PortsideError) else reason_of(error)
        hint = error.hint if isinstance(error, PortsideError) else None
        write_notice(words, f"{hint}; the old rules go on" if hint else "the old rules go on")

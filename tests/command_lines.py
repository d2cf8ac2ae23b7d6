"""Command lines of the documentation and of the help, parsed as Portside would."""

from pages import arguments

from portside.app.documentation import SUBJECTS, finding_codes
from portside.cli import COMMANDS, parser
from portside.control.connection_columns import VOCABULARY
from portside.control.connection_order import ConnectionSort
from portside.control.event_filter import make_event_filter
from portside.kernel.filter import parse as parse_filter
from portside.kernel.resolver import SystemResolver
from portside.lab.registry import CONDITIONS
from portside.settings.commands import GROUPS, all_commands
from portside.settings.ctl import CtlConns, CtlEvents, CtlFault
from portside.settings.diagnose import Diagnose
from portside.settings.faults import parse_fault
from portside.settings.help import Help
from portside.settings.lab import Lab
from portside.settings.watch import Watch

SETTINGS = all_commands()


def check_command(command: str, *, wrong_filter: str = "") -> None:
    """Parse a command line: its options, and the filter, condition or page that is named in it.

    Raises UsageError, FilterError or AssertionError. ``wrong_filter`` is one that a page shows as a mistake.
    """
    words = arguments(command)
    if words in ([], ["--help"], ["--version"]) or (len(words) == 1 and words[0] in GROUPS):
        return
    length = 2 if words[0] in GROUPS else 1
    name, rest = " ".join(words[:length]), words[length:]
    assert name in SETTINGS, f"no such command: {name}"
    given: object = parser.parse(SETTINGS[name], name, rest)
    match given:
        case Watch() | Diagnose():
            conditions = " ".join(given.filter)
            assert conditions == wrong_filter or parse_filter(conditions, SystemResolver())
        case CtlConns():
            assert parse_filter(" ".join(given.filter), SystemResolver(), VOCABULARY)
            assert given.sort is None or ConnectionSort(given.sort)
        case CtlEvents():
            make_event_filter(" ".join(given.filter))
        case CtlFault(words=(_, spec, *more)) if spec != "off":
            parse_fault(" ".join((spec, *more)))
        case Lab():
            assert {*given.code} <= {*CONDITIONS}
        case Help(topic=(group, command)):
            assert command in GROUPS[group].commands
        case Help():
            assert {*given.topic} <= {*COMMANDS, *SUBJECTS, *finding_codes()}

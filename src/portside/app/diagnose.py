"""``portside diagnose``: watches for a while, or until a signal, and says what is wrong."""

import os
import select
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

from portside.app.diagnose_source import DiagnosisSource
from portside.app.diagnose_text import finding_lines, gone_line, list_lines
from portside.app.finding_pages import read_finding_page
from portside.app.notices import write_notice
from portside.app.stdout import ends_with_reader, terminal_width, write_lines, write_stdout
from portside.app.watch_filter import wrong_filter
from portside.diagnosis.diagnosis import Diagnosis, Report, by_severity
from portside.diagnosis.findings import Finding, Subject, rank
from portside.diagnosis.registry import BY_CODE, RULES
from portside.diagnosis.rule import MachineRule, Rule, Threshold
from portside.errors import InvalidValue, UsageError
from portside.json_text import encode_json
from portside.kernel.filter import FilterError, parse
from portside.kernel.filter.tree import EVERYTHING, Filter
from portside.kernel.netns import Namespace
from portside.kernel.resolver import SystemResolver
from portside.nearest import nearest
from portside.settings.diagnose import Diagnose, Setting
from portside.units import counted, parse_duration, parse_size


def run(settings: Diagnose) -> int:
    """Say what is wrong; 1 where something above *info* was printed, else 0."""
    if settings.list:
        write_lines(list_lines(RULES, terminal_width()))
        return 0
    if settings.explain is not None:
        write_stdout([read_finding_page(_known(settings.explain).code)])
        return 0
    rules = chosen_rules(settings.only, settings.ignore)
    thresholds = read_thresholds(settings.thresholds)
    with ExitStack() as stack:
        stop = stack.enter_context(_stopping())
        namespace = stack.enter_context(Namespace(settings.netns)) if settings.netns is not None else None
        tree = _parse(" ".join(settings.filter), namespace)
        if tree is not EVERYTHING:
            rules = _filtered(rules)
            if not rules:
                raise UsageError("diagnose", "these are conditions of the whole machine, and a filter leaves them out")
            write_notice("with a filter, conditions of the whole machine are left out")
        source = stack.enter_context(DiagnosisSource(tree, namespace, source=settings.source))
        stack.enter_context(ends_with_reader())
        diagnosis = Diagnosis(rules, thresholds)
        if settings.follow:
            return _follow(settings, source, diagnosis, stop)
        return _watch(settings, source, diagnosis, stop)


def chosen_rules(only: Sequence[str], ignore: Sequence[str]) -> tuple[Rule, ...]:
    """The rules that are run. Raises UsageError for a code that is none."""
    wanted, unwanted = {_known(code).code for code in only}, {_known(code).code for code in ignore}
    return tuple(rule for rule in RULES if (not wanted or rule.code in wanted) and rule.code not in unwanted)


def read_thresholds(given: Sequence[Setting]) -> dict[tuple[str, str], float]:
    """The thresholds that are set, by code and name. Raises UsageError."""
    found = {}
    for each in given:
        thresholds = {threshold.name: threshold for threshold in _known(each.code).thresholds}
        if each.name not in thresholds:
            near = nearest(each.name, thresholds)
            there = f"it has {', '.join(thresholds)}" if thresholds else "it has none"
            hint = f"did you mean {each.code}.{near}?" if near else there
            raise UsageError("diagnose", f"{each.code} has no threshold {each.name!r}", hint)
        try:
            found[each.code, each.name] = _read_value(thresholds[each.name], each.value)
        except InvalidValue as error:
            raise UsageError("diagnose", f"--set {each.code}.{each.name}: {error}") from None
    return found


def _read_value(threshold: Threshold, text: str) -> float:
    match threshold.unit:
        case "s":
            return parse_duration(text)
        case "bytes":
            return float(parse_size(text))
        case "share":
            return _read_number(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        case "count":
            return _read_number(text)


def _read_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise InvalidValue(f"{text!r} is no number: write 5, 0.8 or for a share 80%")
    return value


def _known(code: str) -> Rule:
    if code in BY_CODE:
        return BY_CODE[code]
    near = nearest(code, BY_CODE)
    hint = f"did you mean {near}?" if near else "portside diagnose --list shows them"
    raise UsageError("diagnose", f"no condition is called {code!r}", hint)


def _parse(text: str, namespace: Namespace | None) -> Filter:
    if not text.strip():
        return EVERYTHING
    try:
        return parse(text, SystemResolver(namespace))
    except FilterError as error:
        raise wrong_filter(error, "diagnose") from None


def _filtered(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules that look at nothing but the sockets that a filter matches."""
    return tuple(rule for rule in rules if not isinstance(rule, MachineRule) or rule.filtered)


# Watching for a while: every finding of that time is said at the end.


def _watch(settings: Diagnose, source: DiagnosisSource, diagnosis: Diagnosis, stop: int) -> int:
    began = time.monotonic()
    found: dict[tuple[str, Subject], Finding] = {}
    sockets = 0
    blind: Mapping[str, str] = {}
    for report, count in _reports(settings, source, diagnosis, stop, began + settings.duration):
        sockets, blind = count, report.blind
        for finding in (*report.current, *report.gone):
            found[finding.code, finding.subject] = finding
    _write_notes(source, blind)
    shown = [each for each in by_severity(found.values()) if rank(each.severity) >= rank(settings.min_severity)]  # type: ignore[arg-type]
    if not shown:
        write_notice(f"nothing found: {counted(sockets, 'socket')} watched for {time.monotonic() - began:.1f}s")
    _write(settings, shown)
    return _status(shown)


def _reports(
    settings: Diagnose, source: DiagnosisSource, diagnosis: Diagnosis, stop: int, end: float | None
) -> Iterator[tuple[Report, int]]:
    """A report and the number of sockets for each look, until the end or a signal; at least one, and one at the end."""
    due = time.monotonic()
    while True:
        seen = source.observe()
        yield diagnosis.observe(seen), len(seen.sockets)
        if end is not None and due >= end:
            return
        due = max(due + settings.interval, time.monotonic() + settings.interval / 2)
        due = due if end is None else min(due, end)
        if select.select([stop], [], [], max(0.0, due - time.monotonic()))[0]:
            return


def _write(settings: Diagnose, findings: Sequence[Finding]) -> bool:
    if settings.json:
        return write_stdout(encode_json(finding) + b"\n" for finding in findings)
    return write_lines(line for finding in findings for line in finding_lines(finding, terminal_width()))


def _status(findings: Iterable[Finding]) -> int:
    return int(any(finding.severity != "info" for finding in findings))


def _write_notes(source: DiagnosisSource, blind: Mapping[str, str]) -> None:
    for note in source.notes:
        write_notice(note)
    if blind:
        write_notice(f"not looked for: {', '.join(f'{code} ({why})' for code, why in blind.items())}")


# Following: a line when a finding appears, changes or is gone.


def _follow(settings: Diagnose, source: DiagnosisSource, diagnosis: Diagnosis, stop: int) -> int:
    status, said = 0, False
    shown: set[tuple[str, Subject]] = set()
    least = rank(settings.min_severity)  # type: ignore[arg-type]
    for report, _ in _reports(settings, source, diagnosis, stop, None):
        if not said:
            _write_notes(source, report.blind)
            said = True
        changed = [each for each in report.changed if rank(each.severity) >= least]
        shown |= {(each.code, each.subject) for each in changed}
        gone = [each for each in report.gone if (each.code, each.subject) in shown]
        shown -= {(each.code, each.subject) for each in gone}
        if not _write(settings, changed) or not _write_gone(settings, gone):
            return status
        status |= _status(changed)
    return status


def _write_gone(settings: Diagnose, findings: Sequence[Finding]) -> bool:
    if settings.json:
        return write_stdout(encode_json(finding)[:-1] + b',"gone":true}\n' for finding in findings)
    return write_lines(gone_line(finding) for finding in findings)


@contextmanager
def _stopping() -> Iterator[int]:
    """A descriptor that is readable from the first SIGINT or SIGTERM on; the second ends the process."""
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    handled = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]

    def stop(_number: int, _frame: object) -> None:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)
        os.write(wake, b"\0")

    before = [(number, signal.signal(number, stop)) for number in handled]
    try:
        yield woken
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        os.close(woken)
        os.close(wake)

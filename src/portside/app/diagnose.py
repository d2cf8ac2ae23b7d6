"""``portside diagnose``: watches for a while, or until a signal, and says what is wrong."""

import select
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial

from portside.app.diagnose_source import DiagnosisSource
from portside.app.diagnose_text import finding_lines, gone_line, list_lines
from portside.app.diagnosis_choice import chosen_rules, filtered_rules, read_thresholds
from portside.app.findings import everything_found, reports
from portside.app.notices import write_notice
from portside.app.signals import readable_at_signal
from portside.app.stdout import ends_with_reader, terminal_width, write_lines, write_stdout
from portside.app.watch_filter import wrong_filter
from portside.diagnosis.diagnosis import Diagnosis
from portside.diagnosis.findings import Finding, Subject, rank
from portside.diagnosis.registry import RULES
from portside.errors import UsageError
from portside.json_text import encode_json
from portside.kernel.filter import FilterError, parse
from portside.kernel.filter.tree import EVERYTHING, Filter
from portside.kernel.netns import Namespace
from portside.kernel.resolver import SystemResolver
from portside.settings.diagnose import Diagnose
from portside.units import counted


def run(settings: Diagnose) -> int:
    """Say what is wrong; 1 where something above *info* was printed, else 0."""
    if settings.list:
        write_lines(list_lines(RULES, terminal_width()))
        return 0
    rules = chosen_rules(settings.only, settings.ignore)
    thresholds = read_thresholds(settings.thresholds)
    with ExitStack() as stack:
        stop = stack.enter_context(readable_at_signal(signal.SIGINT, signal.SIGTERM))
        namespace = stack.enter_context(Namespace(settings.netns)) if settings.netns is not None else None
        tree = _parse(" ".join(settings.filter), namespace)
        if tree is not EVERYTHING:
            rules = filtered_rules(rules)
            if not rules:
                raise UsageError("diagnose", "these are conditions of the whole machine, and a filter leaves them out")
            write_notice("with a filter, conditions of the whole machine are left out")
        source = stack.enter_context(DiagnosisSource(tree, namespace, source=settings.source))
        stack.enter_context(ends_with_reader())
        diagnosis = Diagnosis(rules, thresholds)
        if settings.follow:
            return _follow(settings, source, diagnosis, stop)
        return _watch(settings, source, diagnosis, stop)


def _parse(text: str, namespace: Namespace | None) -> Filter:
    if not text.strip():
        return EVERYTHING
    try:
        return parse(text, SystemResolver(namespace))
    except FilterError as error:
        raise wrong_filter(error, "diagnose") from None


# Watching for a while: every finding of that time is said at the end.


def _watch(settings: Diagnose, source: DiagnosisSource, diagnosis: Diagnosis, stop: int) -> int:
    began = time.monotonic()
    looks = reports(source, diagnosis, settings.interval, began + settings.duration, partial(_wait, stop))
    looked = everything_found(looks)
    _write_notes(source, looked.blind)
    shown = [each for each in looked.findings if rank(each.severity) >= rank(settings.min_severity)]
    if not shown:
        write_notice(f"nothing found: {counted(looked.sockets, 'socket')} watched for {time.monotonic() - began:.1f}s")
    _write(settings, shown)
    return _status(shown)


def _wait(stop: int, seconds: float) -> bool:
    """Wait; true where a signal came meanwhile."""
    return bool(select.select([stop], [], [], seconds)[0])


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
    least = rank(settings.min_severity)
    for report, _ in reports(source, diagnosis, settings.interval, None, partial(_wait, stop)):
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

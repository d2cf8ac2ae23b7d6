"""``portside rules check`` and ``portside rules test``: their reports and exit statuses."""

import time
from collections.abc import Iterator

from portside.app.notices import write_notice
from portside.app.rules import frame_of, read_file
from portside.app.stdout import write_lines
from portside.errors import PortsideError
from portside.settings.rules import RulesTest
from portside.units import counted
from portside.wire.rules.lint import reachable, warnings
from portside.wire.rules.ruleset import RulesError, RuleSet
from portside.wire.rules.transcript import read_transcript, result_lines, run_transcript

_LARGEST_TRANSCRIPT = 64 << 20  # bytes


def check(path: str) -> int:
    """Print a summary of a file of rules; the exit status. Raises PortsideError where the rules cannot be used."""
    try:
        rule_set = read_file(path).rule_set
    except RulesError as first:
        *before, last = first, *first.others
        for error in before:
            write_notice(str(error), error.hint)
        # Errors that were looked for: status 1, not 2.
        raise PortsideError(last.what, last.why, last.hint) from None
    write_lines(_summary(path, rule_set))
    return 0


def _summary(path: str, rule_set: RuleSet) -> Iterator[str]:
    rules, states = counted(len(rule_set.rules), "rule"), counted(len(rule_set.states), "state")
    yield f"{path}: {rules} in {states}; a conversation begins in {rule_set.start!r}"
    seen = reachable(rule_set)
    for state in rule_set.states:
        found = rule_set.of_state(state)
        ahead = dict.fromkeys(rule.goto for rule in found if rule.goto is not None)
        leads = f", leads to {', '.join(ahead)}" if ahead else ""
        aside = "" if state in seen else "  (never)"
        yield f"  {state}: {counted(len(found), 'rule')}{leads}{aside}"
    for position, words in warnings(rule_set):
        yield f"{path}:{position.line}:{position.column}: warning: {words}"


def test(settings: RulesTest, path: str, transcript: str) -> int:
    """Compare a transcript with the rules; the exit status. Raises PortsideError."""
    rules = read_file(path)
    try:
        with open(transcript, "rb") as file:
            text = file.read(_LARGEST_TRANSCRIPT).decode()
    except UnicodeDecodeError as error:
        raise PortsideError(f"cannot read {transcript}", "it is no UTF-8 text") from error
    except OSError as error:
        raise PortsideError(f"cannot read {transcript}", error) from None
    frame = frame_of(rules, settings.frame)
    steps = read_transcript(text, transcript, frame)
    result = run_transcript(rules, steps, frame, settings.max_frame, time.time_ns())
    write_lines(result_lines(result, transcript))
    return 0 if result.difference is None else 1

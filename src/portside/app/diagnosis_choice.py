"""Which rules are run, and with which thresholds: ``--only``, ``--ignore``, ``--set``, and what a filter leaves out."""

from collections.abc import Sequence

from portside.diagnosis.registry import BY_CODE, RULES
from portside.diagnosis.rule import MachineRule, Rule, Threshold
from portside.errors import InvalidValue, UsageError
from portside.nearest import nearest
from portside.settings.diagnose import Setting
from portside.units import parse_duration, parse_size


def chosen_rules(only: Sequence[str], ignore: Sequence[str]) -> tuple[Rule, ...]:
    """The rules that are run. Raises UsageError for a code that is none."""
    wanted, unwanted = {known_rule(code).code for code in only}, {known_rule(code).code for code in ignore}
    return tuple(rule for rule in RULES if (not wanted or rule.code in wanted) and rule.code not in unwanted)


def read_thresholds(given: Sequence[Setting]) -> dict[tuple[str, str], float]:
    """The thresholds that are set, by code and name. Raises UsageError."""
    found = {}
    for each in given:
        thresholds = {threshold.name: threshold for threshold in known_rule(each.code).thresholds}
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


def known_rule(code: str) -> Rule:
    """The rule of a code. Raises UsageError."""
    if code in BY_CODE:
        return BY_CODE[code]
    near = nearest(code, BY_CODE)
    hint = f"did you mean {near}?" if near else "portside diagnose --list shows them"
    raise UsageError("diagnose", f"no condition is called {code!r}", hint)


def filtered_rules(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """The rules that look at nothing but the sockets that a filter matches."""
    return tuple(rule for rule in rules if not isinstance(rule, MachineRule) or rule.filtered)

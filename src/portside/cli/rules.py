"""``portside rules …``: checking and testing rules files before a server uses them."""

from portside.cli.group import check_arguments, run_one
from portside.settings.rules import RULES_COMMANDS, RulesCheck, RulesTest


def run(arguments: list[str]) -> int:
    """Run one of the commands; the exit status."""
    return run_one("rules", RULES_COMMANDS, {"check": _check, "test": _test}, arguments)


def _check(settings: RulesCheck) -> int:
    (path,) = check_arguments("rules check", settings.path, "FILE")
    from portside.app import rules_check

    return rules_check.check(path)


def _test(settings: RulesTest) -> int:
    rules, transcript = check_arguments("rules test", settings.paths, "FILE TRANSCRIPT")
    from portside.app import rules_check

    return rules_check.test(settings, rules, transcript)

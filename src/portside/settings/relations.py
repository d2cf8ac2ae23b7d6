"""Relations between options: which exclude or require which; checked, and described for the help text.

1. ``excludes``, ``requires`` and ``requires_one`` hold flags as they are shown (the last of an option's flags, or its
   ``--no-`` form).
2. Exclusion holds in both directions and is written once, at the option that the message should name first. Options
   of which at most one may be given, the alternatives, share one tuple, which contains each of them.
3. A switch excludes in its positive form only; an option that excludes the negative form names ``--no-…``.
"""

from typing import Any

from portside.errors import UsageError
from portside.settings import OptionSpec, option_specs


def check_relations(command: str, settings: Any, flags: frozenset[str]) -> None:
    """Raise UsageError for the first two options given that exclude each other, or one whose companion is missing.

    ``flags`` are those that were written on the command line: an option may have been given its default.
    """
    given = _given(settings, flags)
    for flag, spec in given.items():
        for other in spec.excludes if flag == spec.flags[-1] else ():
            if other in given and other != flag:
                raise UsageError(command, f"{flag} and {other} exclude each other", spec.why.get(other))
    for flag, spec in given.items():
        for other in spec.requires:
            if other not in given:
                raise UsageError(command, f"{flag} goes with {other}", spec.why.get(other))
        if spec.requires_one and not any(other in given for other in spec.requires_one):
            raise UsageError(command, f"{flag} goes with {' or '.join(spec.requires_one)}")


def describe_relations(settings: type) -> dict[str, str]:
    """Describe, for each field, what its option requires and excludes: ``needs --tls; not with --scan``."""
    specs = {name: spec for name, spec, _ in option_specs(settings) if spec.flags}
    by_flag = {spec.flags[-1]: spec for spec in specs.values()}
    rivals: dict[str, list[str]] = {}
    for flag, spec in by_flag.items():
        alternatives = by_flag[spec.excludes[0]].excludes if flag in spec.excludes else ()
        for other in spec.excludes:
            if other not in alternatives:
                rivals.setdefault(flag, []).append(other)
                rivals.setdefault(other, []).append(flag)
    described = {}
    for name, spec in specs.items():
        flag = spec.flags[-1]
        parts = [f"needs {' and '.join(spec.requires)}"] if spec.requires else []
        if spec.requires_one:
            parts.append(f"needs {' or '.join(spec.requires_one)}")
        if flag in spec.excludes:
            first = spec.excludes[0]
            parts.append(f"one of {', '.join(spec.excludes)}" if flag == first else f"an alternative to {first}")
        if flag in rivals:
            parts.append(f"not with {', '.join(rivals[flag])}")
        if spec.negatable and (others := rivals.get(_negated(flag))):
            parts.append(f"{_negated(flag)} not with {', '.join(others)}")
        described[name] = "; ".join(parts)
    return described


def _given(settings: Any, flags: frozenset[str]) -> dict[str, OptionSpec]:
    """The options that were given, by the flag that a relation names."""
    given = {}
    for name, spec, _ in option_specs(type(settings)):
        shown = spec.flags[-1] if spec.flags else ""
        if spec.negatable and getattr(settings, name) is False:
            shown = _negated(shown)
        if shown in flags or not flags.isdisjoint(spec.flags):
            given[shown] = spec
    return given


def _negated(flag: str) -> str:
    """The ``--no-`` form of a switch."""
    return f"--no-{flag[2:]}"

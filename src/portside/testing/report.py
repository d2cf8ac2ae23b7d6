"""The text of a test's failure: what went wrong, the script and how far it has come, and the transcript."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from portside.testing.difference import difference, first_difference, unexpected
from portside.testing.literals import describe, shorten

if TYPE_CHECKING:
    from portside.feed.transcript import Transcript
    from portside.testing.player import Play, Player, Problem
    from portside.testing.script import Expectation, Script, Scripts

_MOST_PROBLEMS = 5
_MOST_STEPS = 30  # of a script that are shown
_MOST_LINES = 40  # of a transcript
_LONGEST_LINE = 120


def problem_title(problem: "Problem") -> str:
    """One line that says what went wrong."""
    if problem.kind == "connection":
        return f"connection #{problem.number} from {problem.peer} was not expected"
    if problem.kind == "reply":
        return f"connection #{problem.number}: {problem.error.splitlines()[0]}"
    if not problem.expected:
        return f"connection #{problem.number} sent {_bytes(problem.size)} that nothing was expected for"
    wanted = " or ".join(describe(each.pattern, 40) for each in problem.expected[:2])
    others = f" or {len(problem.expected) - 2} more" if len(problem.expected) > 2 else ""
    return f"connection #{problem.number} did not send {wanted}{others} but {_got(problem)}"


def missing_title(missing: "Sequence[Expectation[Any]]", came: "dict[Expectation[Any], int]") -> str:
    """One line that says what has not come."""
    first = missing[0]
    count = f" ({came.get(first, 0)} of {first.times} came)" if first.times > 1 else ""
    others = f", and {len(missing) - 1} more" if len(missing) > 1 else ""
    return f"{describe(first.pattern, 60)} did not come{count}{others}"


def _bytes(size: int) -> str:
    return f"{size} byte{'s' if size != 1 else ''}"


def _got(problem: "Problem") -> str:
    return shorten(problem.got, 40, problem.size) if problem.got else "nothing"


def problem_lines(problem: "Problem") -> Iterator[str]:
    """The details of a problem, with the difference."""
    if problem.kind == "connection":
        yield f"connection #{problem.number} from {problem.peer} is one more than there are scripts for"
        yield f"on_connection({problem.number}) or every_connection() of the server gives it one"
        return
    if problem.kind == "reply":
        yield f"connection #{problem.number} from {problem.peer}: a reply could not be made"
        yield from problem.error.splitlines()
        return
    offset = f", after {_bytes(problem.offset)} that were expected" if problem.offset else ""
    yield f"connection #{problem.number} from {problem.peer}{offset}:"
    yield ""
    if not problem.expected:
        yield from unexpected(problem.got, problem.size)
        return
    nearest = max(problem.expected, key=lambda each: _likeness(each, problem.got))
    frame = nearest.frame
    size = problem.size
    got = problem.got
    # A stream goes on: what comes after as many bytes as were expected is not to be compared.
    if frame is None and isinstance(nearest.pattern, bytes) and len(nearest.pattern) <= len(got):
        got, size = got[: len(nearest.pattern)], len(nearest.pattern)
    yield from difference(nearest.pattern, got, size)
    for each in problem.expected:
        if each is not nearest:
            yield f"or        {describe(each.pattern)}"


def _likeness(expectation: "Expectation[Any]", got: bytes) -> int:
    pattern = expectation.pattern
    return first_difference(pattern, got) if isinstance(pattern, bytes) else 0


def script_lines(scripts: "Scripts", player: "Player") -> Iterator[str]:
    """Each script with what came of it."""
    shown: set[int] = set()
    for number, script in scripts.numbered.items():
        play = player.plays.get(number)
        used = scripts.of(number) is script
        if not used or (script.is_empty and not script.standing):
            continue
        shown.add(number)
        yield f"script of connection #{number}{'' if play else ', which nobody has opened'}:"
        yield from _steps(script, play)
    every = scripts.every
    if every is None:
        return
    plays = [play for play in player.plays.values() if play.script is every]
    if not plays:
        yield "script of every connection, of which there was none:"
        yield from _steps(every, None)
    for play in [each for each in plays if each.problem or each.missing()][:_MOST_PROBLEMS] or plays[:1]:
        yield f"script of every connection, on #{play.number}:"
        yield from _steps(every, play)


def _steps(script: "Script", play: "Play | None") -> Iterator[str]:
    came = play.came if play is not None else {}
    waited_for = play.problem.expected if play is not None and play.problem is not None else ()
    rows = []
    for group in script.groups:
        for each in group.expectations:
            count = came.get(each, 0)
            if count >= each.times:
                state = "came"
            elif each in waited_for:
                state = "expected"
            else:
                state = "did not come"
            times = f" {count} of {each.times}" if each.times > 1 else ""
            rows.append((state + times, describe(each.pattern), each.place))
    rows += [(_times(came.get(each, 0)), describe(each.pattern), each.place) for each in script.standing]
    if len(rows) > _MOST_STEPS:
        first = next((number for number, row in enumerate(rows) if not row[0].startswith("came")), 0)
        start = max(0, min(first - _MOST_STEPS // 2, len(rows) - _MOST_STEPS))
        if start:
            yield f"  … {start} before"
        after = len(rows) - start - _MOST_STEPS
        rows = rows[start : start + _MOST_STEPS]
    else:
        after = 0
    widths = [max((len(row[column]) for row in rows), default=0) for column in (0, 1)]
    for state, what, place in rows:
        mark = " " if state.startswith(("came", "never")) else ">"
        yield f"{mark} {state:<{widths[0]}}  {what:<{widths[1]}}  {place}"
    if after > 0:
        yield f"  … {after} after"
    if play is not None and play.delay_s:
        yield f"  the next step waits for a delay of {play.delay_s:g}s"


def _times(count: int) -> str:
    """How often something came that may come as often as it likes."""
    return "never came" if not count else "came once" if count == 1 else f"came {count} times"


def transcript_lines(transcript: "Transcript") -> Iterator[str]:
    """The lines of a transcript, the last of them where there are many; none of them very long."""
    lines = str(transcript).splitlines()
    if not lines:
        yield "nobody has connected"
        return
    if len(lines) > _MOST_LINES:
        half = _MOST_LINES // 2
        lines = [*lines[:half], f"… {len(lines) - 2 * half} lines …", *lines[-half:]]
    for line in lines:
        yield line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}… ({len(line)} characters)"


def indent(lines: Iterable[str]) -> list[str]:
    """Lines, each two columns further right; empty ones stay empty."""
    return [f"  {line}" if line else "" for line in lines]


def failure_text(title: str, parts: Iterable[tuple[str, Iterable[str]]]) -> str:
    """A title, and below it parts with headings."""
    lines = [title]
    for heading, part in parts:
        found = list(part)
        if found:
            lines += ["", *([heading] if heading else []), *(indent(found) if heading else found)]
    return "\n".join(lines)


def first_problems(problems: "Sequence[Problem]") -> list[str]:
    """The details of the first few problems."""
    lines: list[str] = []
    too_many = [problem for problem in problems if problem.kind == "connection"]
    others = [problem for problem in problems if problem.kind != "connection"]
    for problem in sorted([*others[:_MOST_PROBLEMS], *too_many[:1]], key=lambda problem: problem.at):
        lines += [*([""] if lines else []), *problem_lines(problem)]
        if problem.kind == "connection" and len(too_many) > 1:
            lines.append(f"so are {len(too_many) - 1} more connections")
    if len(others) > _MOST_PROBLEMS:
        lines += ["", f"… and {len(others) - _MOST_PROBLEMS} more"]
    return lines

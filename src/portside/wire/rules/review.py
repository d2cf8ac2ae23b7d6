"""What of a book can never happen: states that nothing leads to, rules that an earlier one always comes before."""

from collections.abc import Iterator

from portside.wire.rules.language import Book, Rule
from portside.wire.rules.places import Place


def reachable(book: Book) -> set[str]:
    """The states that a conversation can come to."""
    seen: set[str] = set()
    ahead = [book.start]
    while ahead:
        state = ahead.pop()
        if state not in seen:
            seen.add(state)
            ahead += [rule.goto for rule in book.of_state(state) if rule.goto is not None]
    return seen


def warnings(book: Book) -> Iterator[tuple[Place, str]]:
    """What can never happen, and where it stands."""
    seen = reachable(book)
    for state in book.states:
        if state not in seen:
            first = next(rule for rule in book.rules if state in rule.states)
            yield first.place, f"nothing leads to the state {state!r}"
    for rule in book.rules:
        states = [state for state in rule.states or book.states if state in seen]
        if not states:
            continue
        if rule.when == "connect" and book.start not in states:
            yield rule.place, f"{rule} never applies: a client that connects is in the state {book.start!r}"
            continue
        covers = [_covered_by(rule, book, state) for state in states]
        if all(covers):
            yield rule.place, f"{rule} never applies: {covers[0]} comes before it"


def _covered_by(rule: Rule, book: Book, state: str) -> Rule | None:
    """The rule that in a state always applies instead."""
    before = (each for each in book.of_state(state) if each.number < rule.number)
    return next((each for each in before if not each.where and _covers(each, rule)), None)


def _covers(earlier: Rule, later: Rule) -> bool:
    if earlier.when == "message":
        return later.when in ("message", "equals", "pattern")
    if earlier.when == "pattern" and later.when == "pattern":
        return earlier.source == later.source
    if earlier.when == "pattern" and later.when == "equals" and not later.ignore_case:
        return earlier.pattern is not None and earlier.pattern.compiled.search(later.text) is not None
    if earlier.when != later.when or earlier.when == "silence":
        return False
    if earlier.when == "equals":
        if earlier.ignore_case:
            return earlier.text.lower() == later.text.lower()
        return earlier.text == later.text and not later.ignore_case
    return True  # connect, half-close: there is one of them

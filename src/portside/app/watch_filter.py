"""The filter of ``watch``, from its arguments to its tree, and which states are shown."""

from portside.errors import UsageError
from portside.kernel.filter import FilterError, parse
from portside.kernel.filter.tree import Filter
from portside.kernel.netns import Namespace
from portside.kernel.resolver import SystemResolver
from portside.kernel.views import View
from portside.settings.watch import Watch


def filter_text(settings: Watch) -> str:
    """The filter as one text."""
    return " ".join(settings.filter)


def parse_filter(settings: Watch, namespace: Namespace | None) -> Filter:
    """The filter, with names of this namespace. Raises UsageError, and NamespaceError where it may not be entered."""
    try:
        return parse(filter_text(settings), SystemResolver(namespace))
    except FilterError as error:
        raise wrong_filter(error) from None


def wrong_filter(error: FilterError, command: str = "watch") -> UsageError:
    """The usage error for a filter that cannot be read; the hint shows the place."""
    _, shown, mark = str(error).rsplit("\n", 2)
    return UsageError(command, error.problem, (shown[2:].rstrip(), f"{' ' * len('hint: ')}{mark[2:]}"))


def view_of(settings: Watch) -> View | None:
    """Which states are shown; None leaves it to the filter."""
    return "all" if settings.all else "listening" if settings.listening else None


def families_of(settings: Watch) -> tuple[int, ...]:
    """Which families are shown."""
    return (4,) if settings.ipv4 else (6,) if settings.ipv6 else (4, 6)

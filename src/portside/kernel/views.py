"""Which states are shown where a filter names none."""

from typing import Literal

from portside.kernel import states
from portside.kernel.filter.tree import And, Filter, StateIn, mentions_state

View = Literal["connected", "listening", "all"]
_VIEWS = {"connected": states.CONNECTED, "listening": states.LISTENING, "all": states.ALL}


def in_view(tree: Filter, view: View | None) -> Filter:
    """A filter restricted to the states of a view; without one, to all states where it names any, else connections."""
    if view is None:
        view = "all" if mentions_state(tree) else "connected"
    return And((tree, StateIn(_VIEWS[view])))

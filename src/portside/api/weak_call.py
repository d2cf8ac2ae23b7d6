"""Calls of methods whose object nobody keeps for them."""

from collections.abc import Callable
from weakref import WeakMethod


def weakly(method: Callable[[], None]) -> Callable[[], None]:
    """A function that calls a bound method as long as its object is there.

    The threads of recordings and files know the bus: they must not keep a server alive whose program has dropped it.
    """
    found = WeakMethod(method)

    def call() -> None:
        if (bound := found()) is not None:
            bound()

    return call

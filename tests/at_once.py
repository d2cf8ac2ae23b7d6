"""Tests that mostly wait, run some at a time on threads; each test takes the outcome of its own run."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest

AT_ONCE = 4
"""How many runs there are at a time: they share the processors."""

Outcomes = Mapping[str, "Future[None]"]


@contextmanager
def outcomes_of(
    request: pytest.FixtureRequest, test: str, parameter: str, run: Callable[[str], None], at_once: int = AT_ONCE
) -> Iterator[Outcomes]:
    """Begin the runs of the parameters with which a test was selected; each outcome by its parameter.

    ``at_once`` may be more where they wait nearly all of their time, and fewer where they do not.
    """
    chosen = [
        str(item.callspec.params[parameter])
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path and item.originalname == test
    ]
    with ThreadPoolExecutor(at_once) as pool:
        yield {name: pool.submit(run, name) for name in chosen}

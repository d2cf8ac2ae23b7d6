"""``portside.sync.Control`` has what ``portside.Control`` has, with calls that wait."""

import inspect

import portside
from portside import sync
from portside.api.loop_thread import Waiting


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_it_has_every_method() -> None:
    assert public(sync.Control) == public(portside.Control) | public(Waiting)


def test_parameters_and_texts_are_those_of_the_other() -> None:
    for name in public(portside.Control):
        one, other = getattr(portside.Control, name), getattr(sync.Control, name)
        shown, there = inspect.signature(one), inspect.signature(other)
        assert shown.parameters == there.parameters, name
        assert one.__doc__ == other.__doc__, name
        assert not inspect.iscoroutinefunction(other), name
        assert "Async" not in str(there), name
        assert "ThreadStream" not in str(there), name

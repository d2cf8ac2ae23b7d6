"""The docstrings of the Python API say what is so: their examples run, and each name has one."""

import inspect
import re
from pathlib import Path

import pytest
from docstrings import documented, examples, run_examples
from netns import run_in_netns

import portside
from portside import testing

# Values that another example shows, or that only an event makes.
SHOWN_ELSEWHERE = (portside.Event, portside.SocketEvent, portside.Owner, portside.Proxy, portside.Missed)
DOCUMENTED = dict(documented())


def test_the_examples_print_what_they_say(tmp_path: Path) -> None:
    run_in_netns("integration.api.docstrings_in_netns", str(tmp_path))


@pytest.mark.parametrize("name", DOCUMENTED)
def test_each_name_is_documented(name: str) -> None:
    value = DOCUMENTED[name]
    assert value.__doc__
    assert len(value.__doc__.split()) > 2
    is_event = inspect.isclass(value) and issubclass(value, SHOWN_ELSEWHERE) and value is not portside.Event
    if is_listed(name) and not is_event:
        assert examples(value), f"{name} has no example"


def test_the_reference_has_every_name() -> None:
    page = (Path(__file__).parents[3] / "docs/reference/python.md").read_text()
    named = re.findall(r"^\.\. auto\w+:: (portside\.\S+)$", page, re.MULTILINE)
    assert len(named) == len(set(named))
    of_plugin = {name for name in named if name.startswith("portside.testing")}
    assert of_plugin == {"portside.testing", *(f"portside.testing.{name}" for name in testing.__all__)}
    public = {name for name in DOCUMENTED if is_listed(name)}
    assert public <= {*named}
    assert {name for name in named if is_listed(name)} - of_plugin <= public


def is_listed(name: str) -> bool:
    """Whether a name is one that programs import, and no method of one."""
    return name.count(".") == 1 + name.startswith("portside.sync.") and name != "portside.sync"


def test_an_example_that_prints_something_else_is_found() -> None:
    import asyncio

    def documented_badly() -> None:
        """A sum.

        >>> 1 + 1
        3
        >>> await asyncio.sleep(0)
        Traceback (most recent call last):
        NameError: name 'asyncio' is not defined
        """

    with asyncio.Runner() as runner:
        (found,) = run_examples("sum", examples(documented_badly), runner)
    assert "1 + 1" in found

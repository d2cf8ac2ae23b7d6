"""The docstrings of the public Python API, and their examples run as ``python -m asyncio`` would run them."""

import ast
import asyncio
import doctest
import inspect
import io
import traceback
from collections.abc import Iterator
from contextlib import redirect_stdout
from typing import Any

from support import DEADLINE_S

import portside
from portside import sync

MODULES = (portside, sync)


def documented() -> Iterator[tuple[str, object]]:
    """Everything public that has a docstring of its own, by its name: modules, functions, classes, their methods."""
    for module in MODULES:
        yield module.__name__, module
        for name in module.__all__:
            value = getattr(module, name)
            if name == "__version__" or inspect.ismodule(value):
                continue
            yield f"{module.__name__}.{name}", value
            if inspect.isclass(value):
                yield from methods(f"{module.__name__}.{name}", value)


def methods(name: str, kind: type) -> Iterator[tuple[str, object]]:
    """The public methods and properties of a class, its bases' too as far as they are Portside's."""
    for base in kind.__mro__:
        if base.__module__.startswith("portside"):
            for attribute, value in vars(base).items():
                if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
                    yield f"{name}.{attribute}", value


def examples(value: object) -> list[doctest.Example]:
    """The examples of a docstring."""
    return doctest.DocTestParser().get_examples(inspect.getdoc(value) or "")


def run_examples(name: str, found: list[doctest.Example], runner: asyncio.Runner) -> list[str]:
    """What the examples of one docstring print otherwise than it says: a text for each that does."""
    differing = []
    names: dict[str, Any] = {"portside": portside}
    for example in found:
        shown = io.StringIO()
        with redirect_stdout(shown):
            try:
                code = compile(example.source, f"<{name}>", "single", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                if inspect.iscoroutine(result := eval(code, names)):
                    runner.run(asyncio.wait_for(result, DEADLINE_S))
            except Exception as error:  # noqa: BLE001
                if example.exc_msg is None:
                    traceback.print_exc(file=shown)
                else:
                    wanted = example.exc_msg.strip()
                    shown.write(example.want if f"{type(error).__name__}: {error}" == wanted else repr(error))
        if shown.getvalue() != example.want:
            differing.append(f"{name}:\n{example.source}should print\n{example.want}and printed\n{shown.getvalue()}")
    return differing

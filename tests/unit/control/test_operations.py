"""Every operation is described well: its examples are of its types, and what it may answer is told."""

import re

import msgspec
import pytest

from portside.control.app import operations
from portside.control.openapi import describe
from portside.control.operations import Operation
from portside.json_text import encode_json

ALL = operations()


def name_of(operation: Operation) -> str:
    return f"{operation.method} {operation.path}"


@pytest.mark.parametrize("operation", ALL, ids=name_of)
def test_its_examples_are_of_its_types(operation: Operation) -> None:
    if operation.answer is not None and operation.media_type == "application/json":
        msgspec.convert(operation.example, operation.answer)
    elif operation.method != "WS" and operation.answer is None:
        assert operation.example is None
    else:
        assert operation.example
    if "body" in operation.parameters:
        msgspec.json.decode(encode_json(operation.body_example), type=operation.parameters["body"])
    else:
        assert operation.body_example is None


@pytest.mark.parametrize("operation", ALL, ids=name_of)
def test_its_path_has_the_parameters_that_it_takes(operation: Operation) -> None:
    named = re.findall(r"\{(\w+)", operation.path)
    taken = operation.parameters.get("path")
    assert named == ([each.encode_name for each in msgspec.structs.fields(taken)] if taken else [])


def test_operations_have_names_of_their_own_and_one_place() -> None:
    described = describe(ALL)
    names = [each["operationId"] for methods in described["paths"].values() for each in methods.values()]
    shared = {each.path for each in ALL if each.method == "WS"} & {each.path for each in ALL if each.method == "GET"}
    assert len(names) == len(set(names)) == len(ALL) - len(shared)
    for path in shared:  # a WebSocket whose events are there without one too
        assert {"101", "200"} <= described["paths"][path]["get"]["responses"].keys()
    assert len({(each.method, each.path) for each in ALL}) == len(ALL)


@pytest.mark.parametrize("operation", [each for each in ALL if "body" in each.parameters], ids=name_of)
def test_a_body_with_a_field_that_it_does_not_know_is_refused(operation: Operation) -> None:
    body = {**(operation.body_example or {}), "colour": "red"}  # type: ignore[dict-item]
    with pytest.raises(msgspec.ValidationError, match="unknown field `colour`"):
        msgspec.json.decode(encode_json(body), type=operation.parameters["body"])

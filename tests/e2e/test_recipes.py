"""The recipes: what was done with other programs and what is done now have the same effect; hints agree with them."""

import re
import shlex
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pytest
from at_once import Outcomes, outcomes_of
from netns import run_in_netns
from recipes import FOLDER, Recipe, recipes

from portside.cli.habits import OPTIONS

PAGES = sorted(path.name for path in FOLDER.glob("*.md"))
RECIPES = [recipe for page in PAGES for recipe in recipes(FOLDER / page)]


def run_page(page: str) -> None:
    with TemporaryDirectory() as folder:
        run_in_netns("e2e.recipes_in_netns", page, folder)


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    with outcomes_of(request, "test_both_columns_have_the_same_effect", "page", run_page, at_once=3) as found:
        yield found


@pytest.mark.parametrize("page", PAGES)
def test_both_columns_have_the_same_effect(page: str, outcomes: Outcomes) -> None:
    outcomes[page].result()


def flags_of(command: str) -> Iterator[str]:
    """The flags of a command, ``-lk`` as two."""
    for flag in re.findall(r"(?<=\s)--?[a-zA-Z][\w-]*", command):
        yield from [flag] if flag.startswith("--") else [f"-{letter}" for letter in flag[1:]]


def hints(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """The flags of nc, ncat, ss or netstat for which a hint says what to write instead, and that hint."""
    words = shlex.split(recipe.now)
    known = OPTIONS[words[words.index("portside") + 1]]
    for flag in flags_of(recipe.did.rpartition("| ")[2]):
        if flag in known and recipe.page in ("nc.md", "ss.md"):
            yield flag, known[flag]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.did)
def test_a_hint_says_what_the_recipe_does(recipe: Recipe) -> None:
    for flag, hint in hints(recipe):
        said = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", hint))
        is_default = "that is so" in hint or "portside listen" in hint or "leave it out" in hint
        assert is_default or not said or said & {*flags_of(recipe.now)}, f"{flag}: {hint}"


def test_some_hints_are_compared() -> None:
    assert {flag for recipe in RECIPES for flag, _ in hints(recipe)} >= {
        "-l",
        "-k",
        "-N",
        "--ssl",
        "-X",
        "-U",
        "-K",
        "-i",
    }

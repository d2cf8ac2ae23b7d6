"""No circle of files: a module never imports itself through others, not even where only types are checked.

import-linter's ``acyclic_siblings`` forbids circles of sibling modules and packages; this test also sees those between
a package and its modules, and names each file of a circle.
"""

from collections import deque
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

import grimp


def circles(imports: Mapping[str, AbstractSet[str]]) -> list[str]:
    """The shortest circle through each module that is in one, such as ``a → b → a``; each circle once."""
    found: dict[frozenset[str], str] = {}
    for start in sorted(imports):
        if chain := shortest_way_back(imports, start):
            found.setdefault(frozenset(chain), " → ".join([*chain, start]))
    return list(found.values())


def shortest_way_back(imports: Mapping[str, AbstractSet[str]], start: str) -> list[str]:
    """The modules from ``start`` until one that imports it; none where ``start`` is in no circle."""
    chains = deque([[start]])
    seen: set[str] = set()
    while chains:
        chain = chains.popleft()
        for module in sorted(imports.get(chain[-1], set())):
            if module == start:
                return chain
            if module not in seen:
                seen.add(module)
                chains.append([*chain, module])
    return []


def test_no_circle_of_files() -> None:
    graph = grimp.build_graph("portside", cache_dir=None)
    found = circles({module: graph.find_modules_directly_imported_by(module) for module in graph.modules})
    assert not found, "these files import one another:\n" + "\n".join(found)


def test_a_circle_is_named() -> None:
    tree = {"a": {"b", "d"}, "b": {"c"}, "c": {"a"}, "d": set(), "e": {"e_1"}, "e_1": {"e"}}
    assert circles(tree) == ["a → b → c → a", "e → e_1 → e"]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []

"""The filter language of ``ss``, with further columns: text in, a tree out, and one evaluation over a whole table.

::

    filter   = term { [ "and" | "or" ] term }      from left to right, "and" and "or" alike, as ss does; side by
                                                   side means "and"
    term     = "(" filter ")" | "not" term
             | ( "state" | "exclude" ) STATE { ( "state" | "exclude" ) STATE }
             | ( "src" | "dst" ) [ = | != ] HOST
             | ( "sport" | "dport" ) [ = | != | < | <= | > | >= ] PORT
             | COLUMN [ = | != | < | <= | > | >= ] VALUE
             | TEXT [ = | != ] PATTERN              * and ? stand for any text and any character
             | PORT                                 either end has it

Words for signs: ``& &&`` and, ``| ||`` or, ``!`` not, ``==`` ``eq``, ``ne neq``, ``lt``, ``le leq``, ``gt``, ``ge
geq``. PORT is ``:443``, ``443``, ``https``, ``8000-8010`` or ``*``; HOST is ``10.0.0.1``, ``10.0.0.0/8``,
``[::1]:80``, ``fe80::1%eth0``, ``192.0.2.1:https``, ``:80``, ``*`` or a name. Several states side by side are joined as
ss joins them: each ``state`` adds, each ``exclude`` takes away. An interface, a user and a control group are written by
name or by number; where one has the name ``12``, ``12`` is its name.

Which columns there are is the table's own (``columns.Vocabulary``): the kernel's sockets have ``src``, ``dst`` and
numbers, the connections of a server further ones, and columns of text.

What is not known of a socket is neither true nor false: it matches neither a condition nor its ``not``.
"""

from portside.kernel.filter.errors import FilterError
from portside.kernel.filter.grammar import parse
from portside.kernel.filter.resolver import HostAddress, NameResolver, NumericResolver
from portside.kernel.filter.tree import And, Filter, HostIn, Mark, Not, Number, Or, PortIn, ProgramIs, StateIn, TextIs

__all__ = [
    "And",
    "Filter",
    "FilterError",
    "HostAddress",
    "HostIn",
    "Mark",
    "NameResolver",
    "Not",
    "Number",
    "NumericResolver",
    "Or",
    "PortIn",
    "ProgramIs",
    "StateIn",
    "TextIs",
    "parse",
]

"""The pages of the documentation as data: their blocks and commands, and output compared in shape.

A fenced block whose lines begin with ``$ `` is a session: commands, each with its output below. ``…`` stands for any
number of lines, ``^C`` before a line for Ctrl-C.
"""

import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PAGES = (
    ROOT / "README.md",
    *(sorted(path for each in ("*.md", "tutorial/*.md") for path in (ROOT / "docs").glob(each))),
)
ANY_LINES = "…"
_MADE = re.compile(r"<!-- options.*?<!-- end of options -->", re.DOTALL)
_SPAN = re.compile(r"`([^`]+)`")
_MAKE_RUN = re.compile(r'make run ARGS="([^"]*)"')
_COMMAND = re.compile(r"(?:[A-Z]\w*=\S+ |sudo )*portside(?: |$)")


def name_of(path: Path) -> str:
    """The name of a page: that of its file, below ``docs/`` with its folder."""
    docs = ROOT / "docs"
    return path.relative_to(docs).as_posix() if path.is_relative_to(docs) else path.name


class Block(NamedTuple):
    """A fenced block (``language`` is what stands behind its fence) or an indented one (``language`` is None)."""

    page: str
    line: int
    language: str | None
    lines: tuple[str, ...]

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def is_session(self) -> bool:
        return self.language == "" and self.lines[0].startswith("$ ")

    @property
    def is_command(self) -> bool:
        """Whether it is an indented block of commands, which are shown without their output."""
        return self.language is None and bool(re.match(r"(?:[A-Z]\w*=\S+ )?(?:make|openssl|portside) ", self.lines[0]))

    @property
    def is_file(self) -> bool:
        """Whether it is from an example."""
        return any(self.text in path.read_text() for path in (ROOT / "examples").rglob("*.*") if path.suffix != ".pyc")

    @property
    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


class Step(NamedTuple):
    """A command of a session, and what the page says that it prints."""

    command: str
    lines: tuple[str, ...]


def read_page(path: Path) -> str:
    """A page without the option tables, which are made from the settings; its lines keep their numbers."""
    return _MADE.sub(lambda made: "\n" * made[0].count("\n"), path.read_text())


def blocks(path: Path) -> list[Block]:
    """The fenced and indented blocks of a page, from top to bottom."""
    found = []
    lines: list[str] = []
    language: str | None = None
    before = ""
    start = 0
    for number, line in enumerate([*read_page(path).splitlines(), "", "the end"], start=1):
        if language is not None:
            if line == "```":
                found.append(Block(name_of(path), start, language, tuple(lines)))
                language, lines = None, []
            else:
                lines.append(line)
        elif line.startswith("    ") and (lines or not before):
            start = start if lines else number
            lines.append(line[4:])
        elif not line:
            lines += [""] if lines else []
        else:
            if lines:
                text = "\n".join(lines).rstrip("\n")
                found.append(Block(name_of(path), start, None, tuple(text.split("\n"))))
                lines = []
            if line.startswith("```"):
                language, start = line[3:], number + 1
        before = line
    return found


def steps(session: Block) -> list[Step]:
    """The commands of a session. A comment behind a command is left out."""
    found: list[Step] = []
    for line in session.lines:
        if line.startswith("$ "):
            found.append(Step(line[2:].split("    ")[0].rstrip(), ()))
        else:
            found[-1] = Step(found[-1].command, (*found[-1].lines, line))
    return found


def output_of(sample: Block, page: list[Block]) -> Block | None:
    """The block behind a sample in Python that shows what it prints."""
    after = page[page.index(sample) + 1 : page.index(sample) + 2]
    return after[0] if after and after[0].language == "" and not after[0].is_session else None


def commands(path: Path) -> Iterator[tuple[int, str]]:
    """Every ``portside …`` of a page, in its blocks, tables and sentences, with the number of its line."""
    inside = False
    for number, line in enumerate(read_page(path).splitlines(), start=1):
        if line.startswith("```"):
            inside = not inside
        elif inside or line.startswith("    "):
            if made := _MAKE_RUN.search(line):
                yield number, f"portside listen {made[1]}"
            elif _COMMAND.match(command := line.strip().removeprefix("$ ")):
                yield number, command
            elif "| portside " in command:
                yield number, command.split("| ", 1)[1]
        else:
            for span in _SPAN.findall(line.replace(r"\|", "|")):
                if _COMMAND.match(span):
                    yield number, span


def filters(path: Path) -> Iterator[tuple[int, str]]:
    """The filters in a page's tables of filters, with the numbers of their lines."""
    inside = False
    for number, line in enumerate(read_page(path).splitlines(), start=1):
        inside = line == "| to see | filter |" or (inside and line.startswith("|"))
        if inside:
            yield from ((number, span) for span in _SPAN.findall(line.rsplit("|", 2)[1]))


def arguments(command: str) -> list[str]:
    """The words of a ``portside`` command behind its name, without redirections, pipes and comments."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|<>;&")
    lexer.whitespace_split = True
    words = []
    for word in lexer:
        if word[:1] in {*"|<>;&"}:
            break
        if word != ANY_LINES:
            words.append(word)
    return words[words.index("portside") + 1 :]


# What differs from run to run, with the blanks before it where the column is right-aligned. Ports below 32768 are
# chosen by somebody and must agree; so must every size.
_VARIES = tuple(
    (re.compile(pattern), put)
    for pattern, put in (
        (r"\d{4}-\d\d-\d\d(?=[T ])", "DATE"),
        (r"\d\d:\d\d:\d\d\.\d+(?=Z|\b)", "TIME"),
        (r"(?<=\"duration\":)\d+\.\d+", "DURATION"),
        (r" *\b(?:\d+m)?\d+\.\d+m?s\b", " DURATION"),
        (r"(?<=:)(?:3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3}|[4-6]\d{4})\b", "PORT"),
        (r"\b\d+(?=/[a-z])", "PID"),
        (r"\bpid=\d+", "pid=PID"),
        (r"\bfd=\d+", "fd=FD"),
        (r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}", "FINGERPRINT"),
        (r"/#[\w-]{22}$", "/#TOKEN"),
    )
)


def shape(line: str, varies: Sequence[str] = ()) -> str:
    """A line of output without what differs from run to run; ``varies`` are expressions for more of that."""
    for pattern, put in (*((re.compile(pattern), "VARIES") for pattern in varies), *_VARIES):
        line = pattern.sub(put, line)
    return line.rstrip()


class Comparison:
    """Lines of output, compared with those of a page as they come; ``in_order``: each has its place."""

    def __init__(self, shown: Callable[[], list[str]], varies: Sequence[str] = (), *, in_order: bool = True) -> None:
        self._shown = shown
        self._varies = varies
        self._in_order = in_order
        self._met = 0
        self._taken: set[int] = set()
        self._skips = False

    def skip(self) -> None:
        """Any number of lines may come before the next one that is expected."""
        self._skips = True

    def meets(self, expected: str) -> bool:
        """Whether the next line has been shown. Raises AssertionError where another one is in its place."""
        lines = [shape(line, self._varies) for line in self._shown()]
        wanted = shape(expected, self._varies)
        candidates = [at for at in range(self._met, len(lines)) if at not in self._taken]
        at = next((at for at in candidates if lines[at] == wanted), None)
        if self._in_order and not self._skips and candidates:
            first = candidates[0]
            assert at == first, f"the page has\n  {wanted}\nand shown was\n  {lines[first]}"
        if at is None:
            return False
        self._skips = False
        if self._in_order:
            self._met = at + 1
        else:
            self._taken.add(at)
        return True

    def rest(self) -> list[str]:
        """The lines that nothing was compared with."""
        lines = self._shown()
        return [] if self._skips else [lines[at] for at in range(self._met, len(lines)) if at not in self._taken]


def compare(
    expected: Sequence[str], shown: Sequence[str], varies: Sequence[str] = (), *, in_order: bool = True
) -> None:
    """Compare the whole output of a command with that of a page. Raises AssertionError at the first difference."""
    comparison = Comparison(lambda: list(shown), varies, in_order=in_order)
    for line in expected:
        if line == ANY_LINES:
            comparison.skip()
        else:
            met = comparison.meets(line)
            assert met, f"the page has\n  {shape(line, varies)}\nand shown was\n  " + "\n  ".join(shown)
    assert not comparison.rest(), "shown, and not on the page:\n  " + "\n  ".join(comparison.rest())


def compare_keys(sample: Block, shown: str) -> None:
    """Compare the keys of a JSON object with those of a page; ``…`` there stands for any more."""
    wanted, there = (re.findall(r'"([\w.]+)":', text) for text in (sample.text, shown))
    if ANY_LINES in sample.text:
        rest = iter(there)
        missing = [key for key in wanted if key not in rest]
        assert not missing, f"the page has {missing}, which are not at their place in\n  {shown}"
    else:
        assert wanted == there, f"the page has\n  {wanted}\nand shown was\n  {shown}"

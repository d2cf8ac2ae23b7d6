"""Makes ``share/``, which an installation gets beside its program: man pages and completions; ``--check`` compares."""

import argparse
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from argparse_manpage.manpage import Manpage

from portside.app.documentation import SUBJECTS
from portside.cli import COMMANDS as SUMMARIES
from portside.cli.completion import completion_script
from portside.cli.parser import make_parser, plain
from portside.settings import Example, examples_of, option_specs
from portside.settings.commands import COMMANDS, EXAMPLES, GROUPS, Group
from portside.version import __version__

SHARE = Path(__file__).parents[1] / "share"
COMPLETIONS = {  # where each shell looks, below share
    "bash": "bash-completion/completions/portside",
    "zsh": "zsh/site-functions/_portside",
    "fish": "fish/vendor_completions.d/portside.fish",
}
STATUS = """.TP
.B 0
Success; a server was ended by Ctrl\\-C or SIGTERM.
.TP
.B 1
The network or the run failed; for
.BR portside\\-diagnose (1):
something was found.
.TP
.B 2
The command line is wrong.
"""
ENVIRONMENT = """.TP
.B NO_COLOR
No colours, where this is set.
.TP
.B PAGER
The program that shows pages on a terminal.
.TP
.B PORTSIDE_LOG
As
.B \\-\\-log\\-level
for all commands.
.TP
.B PORTSIDE_DEBUG
Where this is set, a failure is shown as Python's traceback.
.TP
.B XDG_RUNTIME_DIR
Control sockets are in its folder
.IR portside ,
else in
.IR /tmp/portside\\-UID .
"""
# Requests of roff that are written here or by argparse-manpage; a line of text that begins like one is none.
_REQUEST = re.compile(r"\.(?:TH|SH|SS|TP|PP|B|BR|I|IR|RS|RE|ad|nf|nh|fi)\b")


def files() -> dict[str, str]:
    """The text of each file by its path below ``share``."""
    pages = {"portside": _overview()}
    pages |= {_page_name(name): _page(name, settings, SUMMARIES[name]) for name, settings in COMMANDS.items()}
    for name, group in GROUPS.items():
        pages[_page_name(name)] = _group_page(name, group)
        for command, settings in group.commands.items():
            about = _summary(settings)
            pages[_page_name(f"{name} {command}")] = _page(f"{name} {command}", settings, about)
    scripts = {path: completion_script(shell) for shell, path in COMPLETIONS.items()}
    return {**{f"man/man1/{name}.1": text for name, text in pages.items()}, **scripts}


def _summary(settings: type) -> str:
    """What a command is, as the line of a list: its docstring without a capital and a full stop."""
    words = plain(settings.__doc__ or "").splitlines()[0].removesuffix(".")
    return f"{words[0].lower()}{words[1:]}"


def _page_name(command: str) -> str:
    return f"portside-{command.replace(' ', '-')}"


def _overview() -> str:
    parser = argparse.ArgumentParser(prog="portside", add_help=False)
    parser.description = (
        "Open a port, and see who connects and every byte they send. Connect to one, and move bytes exactly. "
        "Beside both, see what the kernel knows of each connection."
    )
    parser.add_argument("-V", "--version", action="store_true", help="the version")
    page = _manpage(parser, "portside", "a TCP endpoint you can see into", ["portside", "COMMAND ..."])
    page.add_section("commands", "=", _list_of_pages({_page_name(name): words for name, words in SUMMARIES.items()}))
    topics = (f".TP\n.B {_text(f'portside help {name}')}\n{_text(words)}\n" for name, words in SUBJECTS.items())
    page.add_section("more to read", "=", "".join(topics))
    page.add_section("environment", "=", ENVIRONMENT)
    return _finished(page, EXAMPLES, "The documentation is in the installation:\n.B portside help\nlists its pages.")


def _group_page(name: str, group: Group) -> str:
    parser = argparse.ArgumentParser(prog=f"portside {name}", description=group.about, add_help=False)
    page = _manpage(parser, _page_name(name), SUMMARIES[name], [f"portside {name}", group.usage.replace("…", "...")])
    pages = {_page_name(f"{name} {command}"): _summary(settings) for command, settings in group.commands.items()}
    page.add_section("commands", "=", _list_of_pages(pages))
    return _finished(page, group.examples, _more(name))


def _page(name: str, settings: type, summary: str) -> str:
    parser = make_parser(settings, name)
    parser.epilog = None  # the examples, which are a section here
    words = [f"[{spec.metavar} ...]" for _, spec, _ in option_specs(settings) if not spec.flags]
    page = _manpage(parser, _page_name(name), summary, [f"portside {name}", "[OPTION ...]", *words])
    return _finished(page, examples_of(settings), _more(name))


def _manpage(parser: argparse.ArgumentParser, name: str, summary: str, synopsis: list[str]) -> Manpage:
    page = Manpage(parser)
    page.prog, page.description, page.synopsis = name, summary, synopsis
    page.date, page.source, page.manual = "", f"Portside {__version__}", "Portside"
    return page


def _list_of_pages(pages: Mapping[str, str]) -> str:
    return "".join(f".TP\n.BR {_text(name)} (1)\n{_text(words)}\n" for name, words in pages.items())


def _more(name: str) -> str:
    """What else there is about a command; that of a subcommand is under its group."""
    group, _, command = name.partition(" ")
    upper = _page_name(group) if command else "portside"
    return f".BR {_text(upper)} (1)\n.PP\n.B portside help {group}\nshows the page of the documentation."


def _finished(page: Manpage, examples: Iterable[Example], more: str) -> str:
    """The text of a page, with the sections that end all of them."""
    page.add_section("examples", "=", _examples(examples))
    page.add_section("exit status", "=", STATUS)
    page.add_section("see also", "=", more)
    return _guarded(str(page))


def _examples(examples: Iterable[Example]) -> str:
    return "".join(f".TP\n{_text(each.task)}:\n.nf\n.B {_text(each.command)}\n.fi\n" for each in examples)


def _text(text: str) -> str:
    return text.replace("\\", "\\e").replace("-", "\\-")


def _guarded(page: str) -> str:
    """A page whose text is shown and copied as it was written: roff would take some characters for others."""
    for character, name in (("'", "aq"), ("`", "ga"), ("^", "ha"), ("~", "ti")):
        page = page.replace(character, f"\\[{name}]")
    page = page.replace("\n", "\n.nh\n.ad l\n", 1)  # names of options in one piece, and single blanks
    return "".join(
        f"\\&{line}\n" if line[0] == "." and not _REQUEST.match(line) else f"{line}\n"
        for line in page.splitlines()
        if line
    )


def main() -> int:
    """Write the files, or with --check compare them; 1 where one differs."""
    os.environ["COLUMNS"] = "10000"  # roff breaks the lines
    made = files()
    there = {str(path.relative_to(SHARE)) for path in SHARE.rglob("*") if path.is_file()}
    differing = sorted(there - made.keys())
    for name, text in made.items():
        path = SHARE / name
        if name not in there or path.read_text(encoding="utf-8") != text:
            differing.append(name)
    if "--check" in sys.argv:
        if differing:
            sys.stderr.write(f"not up to date in share/: {', '.join(differing)}; run `make docs`\n")
        return int(bool(differing))
    for name in differing:
        path = SHARE / name
        if name not in made:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made[name], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

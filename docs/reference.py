"""Makes the tables of the reference pages from the settings and the API; ``--check`` says whether they are true."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from portside.cli.parser import default_of
from portside.control.app import operations
from portside.settings import option_specs
from portside.settings.connect import Connect
from portside.settings.console import Console
from portside.settings.ctl import CTL_COMMANDS
from portside.settings.listen import Listen
from portside.settings.rec import REC_COMMANDS
from portside.settings.relations import describe_relations
from portside.settings.rules import RULES_COMMANDS
from portside.settings.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES: dict[str, dict[str, type]] = {
    "listen.md": {"": Listen},
    "connect.md": {"": Connect},
    "console.md": {"": Console},
    "watch.md": {"": Watch},
    "ctl.md": {f"ctl {name}": settings for name, settings in CTL_COMMANDS.items()},
    "rules.md": {f"rules {name}": settings for name, settings in RULES_COMMANDS.items()},
    "rec.md": {f"rec {name}": settings for name, settings in REC_COMMANDS.items()},
}
BEGIN, END = "<!-- options: made by `make docs` -->", "<!-- end of options -->"
BEGIN_OPERATIONS, END_OPERATIONS = "<!-- operations: made by `make docs` -->", "<!-- end of operations -->"


def table(command: str, settings: type) -> str:
    """The options of one command as a Markdown table a group."""
    lines: list[str] = [f"\n## portside {command}\n\n{(settings.__doc__ or '').strip()}"] if command else []
    group = None
    relations = describe_relations(settings)
    for name, spec, default in option_specs(settings):
        if spec.group != group or group is None:
            group = spec.group
            lines += ["", f"### {group or 'Arguments'}", "", "| option | meaning | default |", "|---|---|---|"]
        flags = [f"{flag}|--no-{flag[2:]}" if spec.negatable else flag for flag in spec.flags]
        value = "|".join(spec.choices) if spec.choices else spec.metavar or ""
        value = f"[{value}]" if spec.bare is not None else value
        written = ", ".join(flags) + (f" {value}" if flags and value else value)
        if spec.repeat:
            written += " …"
        meaning = f"{spec.help} ({relations[name]})" if relations.get(name) else spec.help
        cells = (f"`{written}`".replace("|", "\\|"), meaning.replace("|", "\\|"), default_of(spec, default))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n"


def page(text: str, commands: dict[str, type]) -> str:
    """A page with its tables made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    tables = "".join(table(command, settings) for command, settings in commands.items())
    return f"{before}{BEGIN}\n{tables}{END}{after}"


def with_operations(text: str) -> str:
    """The page of the control API with its table of operations made anew."""
    before, _, rest = text.partition(BEGIN_OPERATIONS)
    _, _, after = rest.partition(END_OPERATIONS)
    rows = "".join(f"| `{each.method} {each.path}` | {each.summary} |\n" for each in operations())
    return f"{before}{BEGIN_OPERATIONS}\n| operation | meaning |\n|---|---|\n{rows}{END_OPERATIONS}{after}"


def main() -> int:
    """Write the pages, or with --check compare them; 1 where one differs."""
    differing = []
    made: list[tuple[str, Callable[[str], str]]] = [
        *((name, partial(page, commands=commands)) for name, commands in PAGES.items()),
        ("api.md", with_operations),
    ]
    for name, make in made:
        path = Path(__file__).with_name(name)
        old = path.read_text(encoding="utf-8")
        new = make(old)
        if old != new:
            differing.append(name)
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    if differing and "--check" in sys.argv:
        sys.stderr.write(f"not up to date: {', '.join(differing)}; run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

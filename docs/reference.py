"""Makes the tables of the reference pages from the settings and the API, and by ``share.py`` what is in ``share/``.

``--check`` says whether they are true.
"""

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from portside.cli.parser import default_of
from portside.control.app import operations
from portside.diagnosis.registry import RULES
from portside.diagnosis.rule import Rule, Threshold
from portside.lab.registry import CONDITIONS
from portside.settings import option_specs
from portside.settings.commands import COMMANDS, GROUPS
from portside.settings.relations import describe_relations

if TYPE_CHECKING:
    from collections.abc import Callable

PAGES: dict[str, dict[str, type]] = {
    **{f"{name}.md": {"": settings} for name, settings in COMMANDS.items()},
    **{
        f"{name}.md": {f"{name} {command}": settings for command, settings in group.commands.items()}
        for name, group in GROUPS.items()
    },
}
BEGIN, END = "<!-- options: made by `make docs` -->", "<!-- end of options -->"
BEGIN_CODES, END_CODES = "<!-- codes: made by `make docs` -->", "<!-- end of codes -->"
BEGIN_THRESHOLDS, END_THRESHOLDS = "<!-- thresholds: made by `make docs` -->", "<!-- end of thresholds -->"
BEGIN_CONDITIONS, END_CONDITIONS = "<!-- conditions: made by `make docs` -->", "<!-- end of conditions -->"
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


def with_codes(text: str) -> str:
    """The page of ``diagnose`` with its table of conditions made anew."""
    before, _, rest = text.partition(BEGIN_CODES)
    _, _, after = rest.partition(END_CODES)
    rows = "".join(f"| [`{rule.code}`](findings/{rule.code}.md) | {rule.sentence} |\n" for rule in RULES)
    return f"{before}{BEGIN_CODES}\n| code | condition |\n|---|---|\n{rows}{END_CODES}{after}"


def with_conditions(text: str) -> str:
    """The page of ``lab`` with its table of conditions made anew."""
    before, _, rest = text.partition(BEGIN_CONDITIONS)
    _, _, after = rest.partition(END_CONDITIONS)
    rows = "".join(
        f"| [`{each.code}`](findings/{each.code}.md) | {each.how} | {'a namespace' if each.isolated else 'here'} |\n"
        for each in CONDITIONS.values()
    )
    return (
        f"{before}{BEGIN_CONDITIONS}\n| code | how it is made | where |\n|---|---|---|\n{rows}{END_CONDITIONS}{after}"
    )


def with_thresholds(text: str, rule: Rule) -> str:
    """The page of a condition with its table of thresholds made anew."""
    before, _, rest = text.partition(BEGIN_THRESHOLDS)
    _, _, after = rest.partition(END_THRESHOLDS)
    rows = "".join(
        f"| `{rule.code}.{each.name}` | {default_text(each)} | {each.meaning} |\n" for each in rule.thresholds
    )
    made = f"| `--set` | default | meaning |\n|---|---|---|\n{rows}" if rows else "It has none.\n"
    return f"{before}{BEGIN_THRESHOLDS}\n{made}{END_THRESHOLDS}{after}"


def default_text(threshold: Threshold) -> str:
    """The default of a threshold as it is written after ``--set``."""
    match threshold.unit:
        case "share":
            return f"{threshold.value * 100:g}%"
        case "s":
            return f"{threshold.value:g}s"
        case _:
            return f"{threshold.value:g}"


def main() -> int:
    """Write the pages, or with --check compare them; 1 where one differs."""
    differing = []
    made: list[tuple[str, Callable[[str], str]]] = [
        *((name, partial(page, commands=commands)) for name, commands in PAGES.items()),
        ("api.md", with_operations),
        ("diagnose.md", with_codes),
        ("lab.md", with_conditions),
        *((f"findings/{rule.code}.md", partial(with_thresholds, rule=rule)) for rule in RULES),
    ]
    for name, make in made:
        path = Path(__file__).parent / name
        old = path.read_text(encoding="utf-8")
        new = make(old)
        if old != new:
            differing.append(name)
            if "--check" not in sys.argv:
                path.write_text(new, encoding="utf-8")
    share = subprocess.run([sys.executable, Path(__file__).with_name("share.py"), *sys.argv[1:]], check=False)
    if differing and "--check" in sys.argv:
        sys.stderr.write(f"not up to date: {', '.join(differing)}; run `make docs`\n")
        return 1
    return share.returncode


if __name__ == "__main__":
    sys.exit(main())

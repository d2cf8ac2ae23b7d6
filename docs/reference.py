"""Makes the option tables of the reference pages from the settings; ``--check`` only says whether they are true."""

import sys
from pathlib import Path

from portside.cli.parser import default_of
from portside.settings import Connect, Listen, Watch, spellings

PAGES = {"listen.md": Listen, "connect.md": Connect, "watch.md": Watch}
BEGIN, END = "<!-- options: made by `make docs` -->", "<!-- end of options -->"


def table(settings: type) -> str:
    """The options of one command as a Markdown table a group."""
    lines: list[str] = []
    group = None
    for _name, spelling, default in spellings(settings):
        if spelling.group != group or group is None:
            group = spelling.group
            lines += ["", f"### {group or 'Arguments'}", "", "| option | meaning | default |", "|---|---|---|"]
        flags = [f"{flag}|--no-{flag[2:]}" if spelling.negatable else flag for flag in spelling.flags]
        value = "|".join(spelling.choices) if spelling.choices else spelling.metavar or ""
        written = ", ".join(flags) + (f" {value}" if flags and value else value)
        if spelling.repeat:
            written += " …"
        cells = (f"`{written}`".replace("|", "\\|"), spelling.help.replace("|", "\\|"), default_of(spelling, default))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n\n"


def page(text: str, settings: type) -> str:
    """A page with its table made anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(settings)}{END}{after}"


def main() -> int:
    """Write the pages, or with --check compare them; 1 where one differs."""
    differing = []
    for name, settings in PAGES.items():
        path = Path(__file__).with_name(name)
        old = path.read_text(encoding="utf-8")
        new = page(old, settings)
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

"""``portside help TOPIC``: a page of the documentation, or all of them listed."""

from collections.abc import Mapping

from portside.app.documentation import SUBJECTS, finding_codes, read_finding_page, read_page
from portside.app.stdout import write_lines, write_stdout
from portside.cli.misspelt import no_such_command
from portside.cli.parser import hanging, make_parser
from portside.errors import UsageError
from portside.nearest import nearest
from portside.settings.commands import GROUPS
from portside.settings.help import Help


def run(settings: Help, commands: Mapping[str, str]) -> int:
    """Show a page; the exit status. ``commands``: those of ``portside``, with a sentence about each."""
    match settings.topic:
        case []:
            write_stdout([_topics(commands).encode()])
        case [topic]:
            _show(topic.lower().removesuffix(".md"), topic, commands)
        case [group, command] if group in GROUPS:
            if command not in GROUPS[group].commands:
                raise no_such_command(group, command, GROUPS[group].commands)
            parser = make_parser(GROUPS[group].commands[command], f"{group} {command}")
            write_lines(parser.format_help().splitlines())
        case _:
            raise UsageError("help", "it takes one TOPIC", "portside help lists them")
    return 0


def _show(topic: str, written: str, commands: Mapping[str, str]) -> None:
    from portside.tui.documentation import show_page

    if topic in commands or topic in SUBJECTS:
        show_page(read_page(topic))
    elif topic in finding_codes():
        show_page(read_finding_page(topic))
    else:
        raise _no_such_page(topic, written, [*commands, *SUBJECTS, *finding_codes()])


def _no_such_page(topic: str, written: str, topics: list[str]) -> UsageError:
    from portside.cli.habits import command_habit

    hint = command_habit("", topic) if topic.isalpha() else None
    if hint is None:
        near = nearest(topic, topics)
        hint = f"did you mean {near}?" if near else "portside help lists them"
    return UsageError(f"help {written}", "there is no such page", hint)


def _topics(commands: Mapping[str, str]) -> str:
    head = max(map(len, (*commands, *SUBJECTS))) + 2
    parts = [
        f"{title}\n{''.join(hanging(f'  {topic:<{head}}', words) for topic, words in pages.items())}\n"
        for title, pages in (("Commands", commands), ("Subjects", SUBJECTS))
    ]
    findings = hanging("  ", ", ".join(finding_codes()))
    return f"`portside help TOPIC` shows a page:\n\n{''.join(parts)}Findings of `portside diagnose`\n{findings}"

"""The help of each command: as wide as a terminal, and plain text."""

import pytest
from command_lines import check_command

from portside.cli import main
from portside.cli.parser import make_parser
from portside.settings import Example, examples_of, option_specs
from portside.settings.commands import EXAMPLES, GROUPS, all_commands

COMMANDS = all_commands()
ALL_EXAMPLES = {
    "": EXAMPLES,
    **{name: group.examples for name, group in GROUPS.items()},
    **{name: examples_of(settings) for name, settings in COMMANDS.items()},
}


@pytest.mark.parametrize("name", ALL_EXAMPLES)
def test_help_fits_80_columns(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: portside")
    assert "``" not in text
    assert not [line for line in text.splitlines() if len(line) > 80]


@pytest.mark.parametrize("name", GROUPS)
def test_each_subcommand_stands_apart_from_what_it_does(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    text = capsys.readouterr().out
    assert all(f"\n  {command} " in text for command in GROUPS[name].commands)


@pytest.mark.parametrize("name", COMMANDS)
def test_each_choice_is_in_the_help(name: str) -> None:
    text = " ".join(make_parser(COMMANDS[name], name).format_help().split())
    for _, spec, _ in option_specs(COMMANDS[name]):
        assert "|".join(spec.choices or ()) in text or ", ".join(spec.choices or ()) in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_version_after_any_command(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("portside ")


@pytest.mark.parametrize("name", ALL_EXAMPLES)
def test_help_ends_with_three_examples(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        main([*name.split(), "--help"])
    _, _, end = capsys.readouterr().out.partition("\nExamples:\n")
    shown = [line.strip() for line in end.splitlines()]
    assert shown == [line for each in ALL_EXAMPLES[name] for line in (f"{each.task}:", each.command)]
    assert len(ALL_EXAMPLES[name]) == 3
    assert any(each.command.startswith(f"portside {name}".rstrip()) for each in ALL_EXAMPLES[name])


@pytest.mark.parametrize("example", [each for three in ALL_EXAMPLES.values() for each in three], ids=str)
def test_an_example_can_be_run(example: Example) -> None:
    for words in example.command.split(" && "):
        command = words.removeprefix("source <(").removesuffix(")")
        if command.startswith("portside "):
            check_command(command)


def test_the_examples_of_a_command_differ() -> None:
    for three in ALL_EXAMPLES.values():
        assert len({each.task for each in three}) == len({each.command for each in three}) == 3

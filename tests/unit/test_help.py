"""The help of each command: as wide as a terminal, and plain text."""

import pytest

from portside.cli import main
from portside.cli.parser import make_parser
from portside.settings import option_specs
from portside.settings.completion import Completion
from portside.settings.connect import Connect
from portside.settings.ctl import CTL_COMMANDS
from portside.settings.listen import Listen
from portside.settings.rec import REC_COMMANDS
from portside.settings.rules import RULES_COMMANDS
from portside.settings.watch import Watch

COMMANDS = {
    "listen": Listen,
    "completion": Completion,
    "connect": Connect,
    "watch": Watch,
    **{f"rec {name}": kind for name, kind in REC_COMMANDS.items()},
    **{f"ctl {name}": kind for name, kind in CTL_COMMANDS.items()},
    **{f"rules {name}": kind for name, kind in RULES_COMMANDS.items()},
}


@pytest.mark.parametrize("name", [*COMMANDS, "ctl", "rec", "rules", ""])
def test_help_fits_80_columns(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        main([*name.split(), "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: portside")
    assert "``" not in text
    assert not [line for line in text.splitlines() if len(line) > 80]


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

"""What options exclude and require: declared once, checked, and shown in the help."""

import pytest

from portside.cli.parser import make_parser, parse
from portside.errors import UsageError
from portside.settings import option_specs
from portside.settings.connect import Connect
from portside.settings.listen import Listen
from portside.settings.rec import REC_COMMANDS
from portside.settings.rules import RULES_COMMANDS
from portside.settings.watch import Watch


@pytest.mark.parametrize("settings", [Listen, Connect, Watch, *REC_COMMANDS.values(), *RULES_COMMANDS.values()])
def test_relations_name_options_of_the_same_command(settings: type) -> None:
    specs = [spec for _, spec, _ in option_specs(settings) if spec.flags]
    shown = {spec.flags[-1] for spec in specs}
    shown |= {f"--no-{spec.flags[-1][2:]}" for spec in specs if spec.negatable}
    for spec in specs:
        assert {*spec.excludes, *spec.requires, *spec.requires_one} <= shown


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        ("--echo --chat", "--echo and --chat exclude each other", None),
        ("--send-only --echo", "--send-only and --echo exclude each other", "--send-only drops what clients send"),
        ("--no-stdin --send-only", "--send-only and --no-stdin exclude each other", None),
        ("--send-only --recv-only", "--send-only and --recv-only exclude each other", None),
        ("--tls-verify", "--tls-verify goes with --tls$", None),
        ("--forward 80 --stdin", "--forward and --stdin exclude each other", None),
        ("--tls --tls-verify", "--tls-verify goes with --tls-ca", "--tls-ca FILE"),
        ("--pty --echo", "--pty goes with --exec or --sh-exec", None),
        ("--record-sync", "--record-sync goes with --record", None),
        ("--record-mode 600", "--record-mode goes with --record$", None),  # the default, and yet it was given
        ("--record-mode=600", "--record-mode goes with --record$", None),
        ("--max-handshakes 512", "--max-handshakes goes with --tls", None),
        ("--no-forward-tls-verify", "--no-forward-tls-verify goes with --forward-tls", None),
    ],
)
def test_what_is_violated_is_named(arguments: str, message: str, hint: str | None) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse(Listen, "listen", arguments.split())
    assert caught.value.hint is None if hint is None else hint in str(caught.value.hint)


@pytest.mark.parametrize(
    "arguments", ["--no-stdin --recv-only", "--forward 80 --no-stdin", "--tls --tls-alpn h2", "--pty -c x"]
)
def test_what_goes_together(arguments: str) -> None:
    assert parse(Listen, "listen", arguments.split())


def test_what_was_given_and_taken_back() -> None:
    assert parse(Listen, "listen", ["--stdin", "--no-stdin", "--forward", "80"]).stdin is False
    with pytest.raises(UsageError, match="--forward and --stdin exclude each other"):
        parse(Listen, "listen", ["--no-stdin", "--stdin", "--forward", "80"])


def test_the_help_shows_both_sides() -> None:
    help_text = " ".join(make_parser(Listen, "listen").format_help().split())
    assert "IPv4 only (not with -6)" in help_text
    assert "IPv6 only (not with -4)" in help_text
    assert "PEM; may be encrypted (needs --tls and --tls-cert)" in help_text
    assert "(byte 03) interrupts (needs --exec or --sh-exec)" in help_text
    assert "(an alternative to --echo; not with --stdin, --send-only)" in help_text

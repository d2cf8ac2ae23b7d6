"""``portside watch``: what goes together, and who shows it."""

import sys
from functools import partial
from types import SimpleNamespace

import pytest

from portside.cli import parser, watch
from portside.errors import UsageError
from portside.settings.watch import Watch


def parsed(*arguments: str) -> Watch:
    return parser.parse(Watch, "watch", arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-4 -6", "-4 and -6 exclude each other"),
        ("--json --wide", "--json and --wide exclude each other"),
        ("--summary --json", "--summary and --json exclude each other"),
        ("--summary -w", "--summary and --wide exclude each other"),
        ("-s --sort pid", "--summary and --sort exclude each other"),
        ("-s --kill 5", "--summary and --kill exclude each other"),
        ("--events --kill 5", "--events and --kill exclude each other"),
        ("--events --once", "--events and --once exclude each other"),
        ("--events -l", "--events and --listening exclude each other"),
        ("--kill", "--kill destroys connections and needs a filter that says which"),
        ("--kill 5 --source proc", "--kill needs netlink, and --source is proc"),
    ],
)
def test_what_excludes_each_other(arguments: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        watch.run(parsed(*arguments.split()))
    assert caught.value.status == 2


def test_an_empty_filter_is_none() -> None:
    with pytest.raises(UsageError, match="needs a filter"):
        watch.run(parsed("--kill", "", " "))


@pytest.mark.parametrize("arguments", ["--source magic", "--interval 0", "--interval x", "--nosuch", "--sort"])
def test_values_that_cannot_be_read(arguments: str) -> None:
    with pytest.raises(UsageError):
        parsed(*arguments.split())


def test_a_column_may_have_a_minus_before_it() -> None:
    assert parsed("--sort", "-rtt", "--json").sort == "-rtt"
    assert parsed("--sort", "rtt", "-a").sort == "rtt"
    with pytest.raises(UsageError):
        parsed("--sort", "--json")


def test_filter_and_options_may_be_mixed() -> None:
    settings = parsed("sport", "=", ":5", "--once", "or", "dport = :5", "-a")
    assert settings.filter == ("sport", "=", ":5", "or", "dport = :5")
    assert settings.once
    assert settings.all


@pytest.mark.parametrize(
    ("arguments", "terminal", "keyboard", "who"),
    [
        ("", True, True, "live"),
        ("-a --sort pid", True, True, "live"),
        ("", False, True, "once"),
        ("", True, False, "once"),
        ("--once", True, True, "once"),
        ("--json", True, True, "once"),
        ("-s", True, True, "once"),
        ("--kill 5", True, True, "once"),
        ("--events", True, True, "events"),
        ("--events --json", False, True, "events"),
    ],
)
def test_who_shows_it(
    monkeypatch: pytest.MonkeyPatch, arguments: str, terminal: bool, keyboard: bool, who: str
) -> None:
    called: list[str] = []

    def show(name: str, settings: Watch, scout: object = None) -> int:
        called.append(name)
        return 0

    monkeypatch.setattr("portside.app.proc_prefetcher.ProcPrefetcher", lambda: None)
    homes = {"live": ("portside.tui", "watch"), "once": ("portside.app", "watch"), "events": ("portside.app", "events")}
    for name, (package, module) in homes.items():
        fake = SimpleNamespace(run=partial(show, name))
        monkeypatch.setitem(sys.modules, f"{package}.{module}", fake)
        if package == "portside.app":
            monkeypatch.setattr(f"{package}.{module}", fake, raising=False)
    monkeypatch.setitem(sys.modules, "portside.tui", SimpleNamespace(watch=sys.modules["portside.tui.watch"]))
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: keyboard))
    monkeypatch.setenv("TERM", "xterm")
    assert watch.run(parsed(*arguments.split())) == 0
    assert called == [who]
    if who == "live":  # a terminal that cannot place its cursor
        monkeypatch.setenv("TERM", "dumb")
        assert watch.run(parsed(*arguments.split())) == 0
        assert called == [who, "once"]

"""The settings of ``portside completion``."""

from dataclasses import dataclass

from portside.errors import InvalidValue
from portside.settings import argument

SHELLS = ("bash", "zsh", "fish")


def parse_shell(text: str) -> str:
    """Read the name of a shell."""
    if text not in SHELLS:
        raise InvalidValue(f"{text!r} is none of {', '.join(SHELLS)}")
    return text


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A script by which a shell completes commands, options, values, files and the numbers of connections."""

    shell: tuple[str, ...] = argument("SHELL", parse_shell, "the shell: bash, zsh or fish")

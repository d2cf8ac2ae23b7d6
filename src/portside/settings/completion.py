"""The settings of ``portside completion``."""

from dataclasses import dataclass

from portside.errors import InvalidValue
from portside.settings import Example, argument

SHELLS = ("bash", "zsh", "fish")


def parse_shell(text: str) -> str:
    """Read the name of a shell."""
    if text not in SHELLS:
        raise InvalidValue(f"{text!r} is none of {', '.join(SHELLS)}")
    return text


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A script by which a shell completes commands, options, values, files and the numbers of connections."""

    examples = (
        Example("bash, in this shell and until it ends", "source <(portside completion bash)"),
        Example("zsh, with ~/.zfunc in its fpath", "portside completion zsh > ~/.zfunc/_portside"),
        Example("fish", "portside completion fish > ~/.config/fish/completions/portside.fish"),
    )

    shell: tuple[str, ...] = argument("SHELL", parse_shell, "the shell: bash, zsh or fish")

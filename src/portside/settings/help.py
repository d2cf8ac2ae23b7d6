"""The settings of ``portside help``."""

from dataclasses import dataclass

from portside.settings import Example, argument


@dataclass(frozen=True, kw_only=True)
class Help:
    """A page of the documentation: of a command, a subject, or a finding of ``diagnose``."""

    examples = (
        Example("see which pages there are", "portside help"),
        Example("read how rules are written", "portside help rules"),
        Example("read what a finding means, and what to do", "portside help close-wait-leak"),
    )

    topic: tuple[str, ...] = argument(
        "TOPIC", str, "the page: a command, a subject or the code of a finding; without it all are listed"
    )

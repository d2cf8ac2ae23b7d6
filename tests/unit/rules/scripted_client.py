"""Rules that answer, without a server."""

from random import Random

from portside.wire.rules.inline_rules import read_replies
from portside.wire.rules.rules_file import read_rules
from portside.wire.rules.session import Action, Client, CompiledRules, Session

AT = 1_793_361_601_123_456_000  # 2026-10-30T12:00:01.123456Z


class ScriptedClient:
    """One client of some rules, at a time that does not pass by itself."""

    def __init__(self, document: str | CompiledRules) -> None:
        self.rules = document if isinstance(document, CompiledRules) else CompiledRules(read_rules(document, "F"))
        self.now = 0.0
        self.session = Session(self.rules, Client("192.0.2.1:5", "192.0.2.2:6", 7), Random(1), 0.0)

    @staticmethod
    def replying(*written: str) -> "ScriptedClient":
        return ScriptedClient(CompiledRules(read_replies(written)))

    def say(self, message: bytes) -> bytes | None:
        """What a message is answered; None where no rule applies."""
        return self.answer(self.session.on_message(message, self.now))

    @staticmethod
    def answer(action: Action | None) -> bytes | None:
        return None if action is None else b"".join(action.render(each, AT) for each in action.rule.answers)


def rendered(
    answer: str, condition: str = "on = 'message'", message: bytes = b"hello", *, hexed: bool = False
) -> bytes:
    """An answer to a message."""
    written = f"{{ hex = '{answer}' }}" if hexed else f"'{answer}'"
    said = ScriptedClient(f"[[rule]]\n{condition}\nanswer = {written}\n").say(message)
    assert said is not None
    return said

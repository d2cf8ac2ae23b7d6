"""Rules that answer, without a server."""

from random import Random

from portside.wire.rules.dialogue import Client, Dialogue, Play, Turn
from portside.wire.rules.read import read_rules
from portside.wire.rules.reply import read_replies

AT = 1_793_361_601_123_456_000  # 2026-10-30T12:00:01.123456Z


class Talk:
    """One client of some rules, at a time that does not pass by itself."""

    def __init__(self, document: str | Play) -> None:
        self.play = document if isinstance(document, Play) else Play(read_rules(document, "F"))
        self.now = 0.0
        self.dialogue = Dialogue(self.play, Client("192.0.2.1:5", "192.0.2.2:6", 7), Random(1), 0.0)

    @staticmethod
    def replying(*written: str) -> "Talk":
        return Talk(Play(read_replies(written)))

    def say(self, message: bytes) -> bytes | None:
        """What a message is answered; None where no rule applies."""
        return self.answer(self.dialogue.message(message, self.now))

    @staticmethod
    def answer(turn: Turn | None) -> bytes | None:
        return None if turn is None else b"".join(turn.render(each, AT) for each in turn.rule.answers)


def rendered(
    answer: str, condition: str = "on = 'message'", message: bytes = b"hello", *, hexed: bool = False
) -> bytes:
    """An answer to a message."""
    written = f"{{ hex = '{answer}' }}" if hexed else f"'{answer}'"
    said = Talk(f"[[rule]]\n{condition}\nanswer = {written}\n").say(message)
    assert said is not None
    return said

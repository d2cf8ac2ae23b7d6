"""Why nothing can be published: said once, and not each time that it is tried again."""

import time
from collections.abc import Callable
from typing import Final

from nats.js import errors as js_errors

from portside.app.notices import Notify
from portside.errors import PortsideError
from portside.fleet.broker import NO_PERMISSION_HINT, failure, without_password
from portside.fleet.subjects import STREAM
from portside.settings.broker import BrokerOptions

_AGAIN_S: Final = 60.0
_MOST_SAID: Final = 32
_NO_ROOM: Final = ("maximum", "insufficient", "storage", "no space")
_NO_PERMISSION: Final = "permissions violation"


class TroubleNotices:
    """Says what is wrong with the broker: each thing once until it has passed, and not again within a minute."""

    def __init__(self, notify: Notify, clock: Callable[[], float] = time.monotonic) -> None:
        self._notify, self._clock = notify, clock
        self._present: set[str] = set()
        self._said_at: dict[str, float] = {}
        self._has_said = False

    def say(self, error: PortsideError) -> None:
        """Say that something is wrong; the agent goes on and tries again."""
        now = self._clock()
        self._said_at = {why: at for why, at in self._said_at.items() if now - at < _AGAIN_S}
        if error.why not in self._present and error.why not in self._said_at and len(self._present) < _MOST_SAID:
            self._notify(f"cannot publish to {error.what}: {error.why}", error.hint)
            self._said_at[error.why] = now
            self._has_said = True
        self._present.add(error.why)

    def passed(self, servers: str) -> None:
        """Say that it works again, where it has been said that it does not."""
        self._present.clear()
        if self._has_said:
            self._has_said = False
            self._notify(f"publishing to {servers} again", None)


def servers_of(options: BrokerOptions) -> str:
    """The servers, as a notice names them."""
    return ", ".join(without_password(each) for each in options.nats)


def refusal(options: BrokerOptions, error: BaseException) -> PortsideError:
    """The answer of NATS or JetStream as an error of ours."""
    why = (error.description or "").strip() if isinstance(error, js_errors.APIError) else ""
    if not why or isinstance(error, js_errors.NotFoundError):
        return failure(options, error)
    hint = None
    if any(word in why for word in _NO_ROOM):
        hint = "give it room: `portside fleet init --max-bytes SIZE`, or a larger disk; the outbox keeps what there is"
    return PortsideError(servers_of(options), f"JetStream refuses: {why}", hint)


def unasked(options: BrokerOptions, error: Exception) -> PortsideError | None:
    """A failure that nats-py reports in no call, as an error of ours; None for what ends the connection anyway."""
    if isinstance(error, js_errors.APIError):
        return refusal(options, error)
    words = str(error).removeprefix("nats: ")
    if _NO_PERMISSION not in words.lower():
        return None
    return PortsideError(servers_of(options), words, NO_PERMISSION_HINT)


def no_answer(options: BrokerOptions) -> PortsideError:
    """The server is there, and what was published is not acknowledged."""
    return PortsideError(
        servers_of(options),
        "what is published is not acknowledged",
        f"is the server overloaded, or the stream {STREAM} without a leader?",
    )

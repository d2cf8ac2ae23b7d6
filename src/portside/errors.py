"""The exceptions that users see: each has a text made for them."""

Hint = str | tuple[str, ...] | None
"""What to do about a failure: a line, or the lines of one that shows a place in a text."""


class PortsideError(Exception):
    """A failure of the network or of the run: exit status 1.

    The text is ``what: why``; ``hint``, if there is one, says what to do about the failure.

    >>> try:
    ...     await portside.connect("127.0.0.1:1")
    ... except portside.PortsideError as error:
    ...     print(error.what, "-", error.why)
    cannot connect to 127.0.0.1:1 - Connection refused
    """

    status = 1

    def __init__(self, what: str, why: str | BaseException, hint: Hint = None) -> None:
        super().__init__(what, why, hint)
        self.what = what
        self.why = reason_of(why) if isinstance(why, BaseException) else why
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


class UsageError(PortsideError):
    """A mistake in the command line, or in the arguments of a function: an option or a value. Exit status 2.

    >>> portside.listen(echo=True, chat=True)
    Traceback (most recent call last):
    UsageError: listen: --echo and --chat exclude each other
    """

    status = 2


class InvalidValue(ValueError):
    """A value that cannot be parsed; the message says what is wrong with it and what would be right."""


def reason_of(error: BaseException) -> str:
    """The text of an error without its number: ``Connection refused``."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__

"""The states of a socket's transport: one for each direction, and one for the whole.

state            entered by                                                      next
Reading.READING  construction, resume_reading                                    PAUSED, ENDED
Reading.PAUSED   pause_reading                                                   READING
Reading.ENDED    the peer's FIN                                                  none

Writing.WRITING  construction                                                    ENDING, ENDED
Writing.ENDING   write_eof: FIN follows what is buffered                         ENDED
Writing.ENDED    our FIN is sent; or a write failed, and reading goes on to
                 the end of what the peer had sent                               none

Life.OPEN        construction                                                    CLOSING, LOST
Life.CLOSING     close, while bytes are buffered: they go out first              LOST
Life.LOST        close, the last buffered byte after it, abort, an error of
                 the network, an error that the user's code raised               none
"""

import enum


class Reading(enum.Enum):
    """State of the direction from the peer."""

    READING = enum.auto()
    PAUSED = enum.auto()
    ENDED = enum.auto()


class Writing(enum.Enum):
    """State of the direction to the peer."""

    WRITING = enum.auto()
    ENDING = enum.auto()
    ENDED = enum.auto()


class Life(enum.Enum):
    """State of the whole."""

    OPEN = enum.auto()
    CLOSING = enum.auto()
    LOST = enum.auto()

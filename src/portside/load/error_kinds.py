"""The kinds of errors that a run counts, and what each of them counts, in words."""

import errno

ERRORS = {
    "refused": "connections refused",
    "timed_out": "connections that got no answer in time",
    "unreachable": "connections for which there was no route to the server",
    "no_ports": "connections for which no local port was left",
    "no_descriptors": "connections for which no file descriptor was left",
    "no_such_socket": "connections to a unix socket that is not there",
    "accept_queue_full": "connections for which the server's queue had no place",
    "tls_failed": "TLS handshakes that failed",
    "reset": "messages or connections lost by a reset",
    "closed": "messages or connections lost because the server closed",
    "wrong_reply": "answers that are not what was expected",
    "unexpected_data": "answers too many",
    "not_closed": "connections that the server did not close after our FIN",
    "unanswered": "messages without an answer at the end",
    "not_sent": "messages that were due and could not be sent",
    "worker_lost": "processes of ours that were killed or stopped; what they had not yet reported is missing",
}
"""Each kind, and what its number counts."""

_KINDS = {
    0: "tls_failed",
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: "timed_out",
    errno.EADDRNOTAVAIL: "no_ports",
    errno.EMFILE: "no_descriptors",
    errno.ENFILE: "no_descriptors",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EAGAIN: "accept_queue_full",  # of a unix socket: connect(2)
    errno.ENOENT: "no_such_socket",  # likewise
}


def error_kind(error: OSError) -> str:
    """The kind under which an error is counted; TLS's own have the number 0."""
    number = error.errno or 0
    return _KINDS.get(number) or errno.errorcode.get(number, "error").lower()

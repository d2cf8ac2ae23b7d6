"""All fields of one socket as lines of text, with the reason for each field that is not known."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import TypeGuard

from portside.app.cell_text import command_text, owner_text, seconds_text, share_text
from portside.app.diagnose_text import finding_lines
from portside.diagnosis.findings import Finding
from portside.kernel.column_names import SHARES
from portside.kernel.models import Owner, Socket
from portside.tui.cells import remote_text, safe
from portside.tui.widths import cut
from portside.wire.cells import split_rows

_BETWEEN = 3


def title(socket: Socket) -> str:
    """A socket in one line."""
    return f"{socket.proto} {safe(socket.local)} - {remote_text(socket)} {socket.state}"


def detail_lines(socket: Socket, age_s: float, width: int, findings: Sequence[Finding] = ()) -> list[str]:
    """Everything about a socket, in lines of at most ``width`` characters where no value is longer.

    First comes what is wrong: the findings that the socket is part of.
    """
    listening = socket.listening
    info = dict(socket.info or {})
    memory = info.pop("skmem", None)
    first = {
        "state": socket.state,
        "recv_q": _known(socket.recv_q) + (" connections wait to be accepted" if listening else " B not read yet"),
        "send_q": _known(socket.send_q) + (" may wait at most" if listening else " B not acknowledged yet"),
        "uid": _known(socket.uid),
        "inode": _known(socket.inode),
        "seen for": seconds_text(age_s),
    }
    lines = all_findings_lines(findings, width)
    lines += [*([""] if lines else []), *_pairs(first, width)]
    lines += ["", "owners"]
    lines += _owner_lines(socket.owners or (), width)
    if not socket.owners:
        lines.append("  no process holds it" if socket.owners is not None else "  not known")
    if info:
        shown = {name: share_text(value) if _is_share(name, value) else _value(value) for name, value in info.items()}
        lines += ["", "info", *_pairs(shown, width)]
    if isinstance(memory, dict):
        lines += ["", "skmem (bytes)", *_pairs({name: _value(value) for name, value in memory.items()}, width)]
    if socket.gaps:
        lines += ["", "not known, and why", *_pairs({name: safe(why) for name, why in socket.gaps.items()}, 0)]
    return lines


def all_findings_lines(findings: Sequence[Finding], width: int) -> list[str]:
    """Findings in full: what and who, what is wrong, the evidence and what to do, with an empty line between two."""
    lines: list[str] = []
    for finding in findings:
        lines += [*([""] if lines else []), *map(safe, finding_lines(finding, width))]
    return lines


def _owner_lines(owners: Sequence[Owner], width: int) -> list[str]:
    """Each process with its descriptors, and below them its command line."""
    lines = []
    for owner, after in zip_longest(owners, owners[1:]):
        descriptor = "" if owner.fd is None else f"  fd {owner.fd}"
        lines.append(f"  {owner_text(owner.pid, owner.program)}{descriptor}")
        if owner.command is not None and (after is None or after.pid != owner.pid):
            rows = split_rows(command_text(owner.command), max(width - 4, 2))
            lines += [f"    {row}" for row in rows if row]
    return lines


def _known(value: int | None) -> str:
    return "-" if value is None else str(value)


def _value(value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "-"
    return "-" if value is None else safe(str(value))


def _is_share(name: str, value: object) -> TypeGuard[float]:
    return name in SHARES and value is not None


def _pairs(pairs: dict[str, str], width: int) -> list[str]:
    """Names and values, in as many columns as fit, to be read from top to bottom."""
    left = max(map(len, pairs))
    texts = [f"  {name:<{left}}  {value}" for name, value in pairs.items()]
    widest = max(map(len, texts))
    count = max(1, (width + _BETWEEN) // (widest + _BETWEEN))
    rows = -(-len(texts) // count)
    return [(" " * _BETWEEN).join(cut(text, widest) for text in texts[row::rows]).rstrip() for row in range(rows)]

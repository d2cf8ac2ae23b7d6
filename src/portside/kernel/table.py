"""The socket table: every TCP socket as one row of columns.

1. A row is a ``struct inet_diag_msg`` (``base``). What the kernel reports beyond it (tcp_info, memory, congestion
   control) stays in its messages: ``message`` says where that of a row begins, ``layout`` which layout it has.
2. Nothing more is decoded until it is asked for: ``column`` takes a field out of the messages,
   ``materialize.to_sockets`` makes a value of each row.
3. What is not known is not 0: a column comes with a mask that says where it is known, and ``gaps`` says why not.

Tables are never changed after they are made; ``with_owners`` and ``select`` make new ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from portside.kernel import states
from portside.kernel.column_names import BASE_COLUMNS, SHARES, SKMEM_COLUMNS
from portside.kernel.inet_diag import INFO_BITS, OPTION_WINDOW_SCALE, Attribute
from portside.kernel.inet_diag_types import INFO, Rows
from portside.kernel.models import NOT_LOOKED_UP, Owner

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[Any]
OwnersByKey = Mapping[int, tuple[Owner, ...]]


class Unavailable(NamedTuple):
    """Columns that are not known for the sockets of ``where`` (None: for no socket), and why."""

    columns: tuple[str, ...]
    where: Mask | None
    reason: str


class ColumnValues(NamedTuple):
    """The values of a column, and where they are known: elsewhere a value means nothing."""

    values: Values
    known: Mask


@dataclass(frozen=True, slots=True, eq=False)
class Messages:
    """The kernel's messages as received; columns are decoded from them on demand.

    ``layouts`` says for each shape of message where its attributes are: by the attribute's number the offset of
    its payload, in words of 4 bytes from the beginning of the message, and the size of the payload in bytes.
    """

    octets: npt.NDArray[np.uint8]
    layouts: tuple[Mapping[int, tuple[int, int]], ...]

    def sizes(self, attribute: int) -> npt.NDArray[np.int64]:
        """How many bytes of an attribute came, for each layout; one more at the end, for no message at all."""
        return np.array([*(layout.get(attribute, (0, 0))[1] for layout in self.layouts), 0])

    def gather(self, at: npt.NDArray[np.int64], dtype: np.dtype[Any], offset: int = 0) -> Values:
        """Copy a value from each place: words from the begin, and ``offset`` bytes more. All must be inside."""
        if not len(at):
            return np.zeros(0, dtype)
        places = (len(self.octets) - offset - dtype.itemsize) // 4 + 1
        return np.ndarray((places,), dtype, self.octets, offset, (4,))[at]


NO_MESSAGES = Messages(np.zeros(0, "u1"), ())


_ATTRIBUTES = {
    "congestion": (Attribute.CONGESTION, np.dtype("S16")),
    "cgroup": (Attribute.CGROUP, np.dtype("u8")),
    "mark": (Attribute.MARK, np.dtype("u4")),
    "shutdown": (Attribute.SHUTDOWN, np.dtype("u1")),
    "v6only": (Attribute.V6ONLY, np.dtype("u1")),
}

_U32 = (1 << 32) - 1
_U64 = (1 << 64) - 1
_NOT_MEASURED = "not measured yet"
# What the kernel writes where it has no number: column, field that shows it, value, reason.
_PLACEHOLDERS = {
    "rtt_us": ("rtt_us", 0, _NOT_MEASURED),
    "rttvar_us": ("rtt_us", 0, _NOT_MEASURED),
    "min_rtt_us": ("min_rtt_us", _U32, _NOT_MEASURED),
    "rcv_rtt_us": ("rcv_rtt_us", 0, _NOT_MEASURED),
    "delivery_rate": ("delivery_rate", 0, _NOT_MEASURED),
    "app_limited": ("delivery_rate", 0, _NOT_MEASURED),
    "ssthresh": ("ssthresh", (1 << 31) - 1, "unlimited: no congestion was met yet"),
    "pacing_rate": ("pacing_rate", _U64, "unlimited"),
    "max_pacing_rate": ("max_pacing_rate", _U64, "unlimited"),
}
_SHARE_DIGITS = 4
_OLDER_KERNEL = "this kernel does not tell it"
_NOT_SENT = "the kernel did not tell it"
_WITHOUT_INFO = {
    states.TIME_WAIT: "the kernel keeps no more of a connection in TIME_WAIT",
    states.SYN_RECV: "the kernel keeps no more of a connection whose handshake is not finished",
}


@dataclass(frozen=True, slots=True, eq=False)
class SocketTable:
    """Sockets as columns, ``len`` rows.

    ``owners`` are found by ``owner_keys``, which is the inode but for sources that know owners and no inode; None:
    not looked up, and ``no_owners`` says why. ``hidden_owners`` says why a socket without a known owner may have one
    all the same; empty where it cannot. ``no_commands`` says why an owner may have no command line. ``interfaces``
    names interfaces by their number, safe to show.
    """

    base: Rows
    message: npt.NDArray[np.int64]
    layout: npt.NDArray[np.int32]
    messages: Messages = NO_MESSAGES
    unavailable: tuple[Unavailable, ...] = ()
    owners: OwnersByKey | None = None
    own_owner_keys: npt.NDArray[np.int64] | None = None
    interfaces: Mapping[int, str] = field(default_factory=dict)
    no_owners: str = NOT_LOOKED_UP
    hidden_owners: str = ""
    no_commands: str = NOT_LOOKED_UP

    def __len__(self) -> int:
        return len(self.base)

    @property
    def owner_keys(self) -> Values:
        """For each socket the key of its owners; 0 where it has none."""
        return self.base["inode"] if self.own_owner_keys is None else self.own_owner_keys

    def select(self, which: Mask | npt.NDArray[np.integer]) -> "SocketTable":
        """The sockets of a mask, or those of an array of row numbers in its order."""
        return replace(
            self,
            base=self.base[which],
            message=self.message[which],
            layout=self.layout[which],
            unavailable=tuple(
                Unavailable(gap.columns, None if gap.where is None else gap.where[which], gap.reason)
                for gap in self.unavailable
            ),
            own_owner_keys=None if self.own_owner_keys is None else self.own_owner_keys[which],
        )

    def with_owners(self, owners: OwnersByKey, hidden: str = "", no_commands: str = NOT_LOOKED_UP) -> "SocketTable":
        """A table of these sockets with the processes that hold them."""
        return replace(self, owners=owners, hidden_owners=hidden, no_commands=no_commands)

    def column(self, name: str) -> ColumnValues:
        """One of ``COLUMNS`` for every socket. Raises KeyError where there is no such column."""
        if name in BASE_COLUMNS:
            return ColumnValues(self._base_values(name), ~self._unknown(self.reasons_unknown(name)))
        return ColumnValues(self._detail_values(name), ~self._unknown(self.reasons_unknown(name)))

    def reasons_unknown(self, name: str) -> list[tuple[Mask, str]]:
        """Where a column is not known, each place with its reason; a place may be in several."""
        everywhere = np.ones(len(self), bool)
        named = [gap for gap in self.unavailable if name in gap.columns]
        gaps = [(everywhere if gap.where is None else gap.where, gap.reason) for gap in named]
        if name in BASE_COLUMNS or any(gap.where is None for gap in named):
            return gaps
        return [*gaps, *self._detail_reasons_unknown(name)]

    def _unknown(self, gaps: list[tuple[Mask, str]]) -> Mask:
        unknown = np.zeros(len(self), bool)
        for where, _ in gaps:
            unknown |= where
        return unknown

    def _base_values(self, name: str) -> Values:
        if name == "cookie":
            high = self.base["cookie_high"].astype("u8")
            cookies: Values = high << np.uint64(32) | self.base["cookie_low"]
            return cookies
        values: Values = self.base[name]
        return values

    def _detail_values(self, name: str) -> Values:
        if name in INFO_BITS:
            field, shift, mask = INFO_BITS[name]
            words = self._detail_values(field)
            bits: Values = (words >> words.dtype.type(shift)) & words.dtype.type(mask)
            return bits
        if name in SHARES:
            part, whole = map(self._detail_values, SHARES[name])
            shares = np.divide(part, whole, out=np.zeros(len(self)), where=whole > 0)
            rounded: Values = np.round(np.minimum(shares, 1.0), _SHARE_DIGITS)
            return rounded
        attribute, dtype, offset = _place(name)
        values = np.zeros(len(self), dtype)
        for number, layout in enumerate(self.messages.layouts):
            start, size = layout.get(attribute, (0, 0))
            if size < offset + (1 if dtype.kind == "S" else dtype.itemsize):
                continue
            here = self.layout == number
            taken = dtype if dtype.kind != "S" else np.dtype(f"S{min(size, dtype.itemsize)}")
            values[here] = self.messages.gather(self.message[here] + start, taken, offset)
        return values

    def _detail_reasons_unknown(self, name: str) -> list[tuple[Mask, str]]:
        """Where the messages lack a column, each place with its reason."""
        field = INFO_BITS[name][0] if name in INFO_BITS else SHARES[name][0] if name in SHARES else name
        attribute, dtype, offset = _place(field)
        sizes = self.messages.sizes(attribute)
        absent = (sizes == 0)[self.layout]
        gaps = []
        if attribute == Attribute.INFO:
            state = self.base["state"]
            gaps = [((state == number) & absent, reason) for number, reason in _WITHOUT_INFO.items()]
            gaps.append((state == states.LISTEN, "a listener carries no data"))
        gaps.append((absent, _NOT_SENT))
        if dtype.kind != "S":
            gaps.append((((sizes > 0) & (sizes < offset + dtype.itemsize))[self.layout], _OLDER_KERNEL))
        if name in _PLACEHOLDERS:
            shown_by, value, reason = _PLACEHOLDERS[name]
            gaps.append((self._detail_values(shown_by) == value, reason))
        elif name in ("snd_wscale", "rcv_wscale"):
            not_agreed = (self._detail_values("options") & OPTION_WINDOW_SCALE) == 0
            gaps.append((not_agreed, "window scaling was not agreed on"))
        elif name in SHARES:
            gaps.append((self._detail_values(SHARES[name][1]) == 0, "there was nothing to send yet"))
        elif name in INFO_BITS and not INFO_BITS[name][2]:
            gaps.append((~absent, _OLDER_KERNEL))
        return [(where, reason) for where, reason in gaps if where.any()]


def _place(name: str) -> tuple[int, np.dtype[Any], int]:
    """The attribute that a field is in, its type and its offset in the payload, in bytes. Raises KeyError."""
    if name in SKMEM_COLUMNS:
        return Attribute.SKMEM, np.dtype("u4"), 4 * SKMEM_COLUMNS.index(name)
    if name in _ATTRIBUTES:
        return *_ATTRIBUTES[name], 0
    dtype, offset = INFO.fields[name][:2] if INFO.fields else (INFO, 0)
    return Attribute.INFO, dtype, offset

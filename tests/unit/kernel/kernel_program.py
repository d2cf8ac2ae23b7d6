"""The kernel's side of bytecode, for tests: what inet_diag_bc_audit accepts, and what inet_diag_bc_run answers."""

import struct
from typing import NamedTuple

_JUMP, _S_GE, _S_LE, _D_GE, _D_LE, _S_COND, _D_COND = 1, 2, 3, 4, 5, 7, 8


class Entry(NamedTuple):
    """A socket as the kernel's filter sees it; addresses have 4 bytes for family 2 and 16 for family 10."""

    family: int
    local: bytes
    remote: bytes
    local_port: int
    remote_port: int


def audit(program: bytes) -> None:
    """Raise AssertionError where the kernel would answer EINVAL."""
    starts = set()
    at = 0
    while at < len(program):
        starts.add(at)
        at += program[at + 1]
    assert at == len(program)
    left = len(program)
    at = 0
    while left > 0:
        code, yes, no = struct.unpack_from("=BBH", program, at)
        least = 4
        if code in (_S_GE, _S_LE, _D_GE, _D_LE):
            least = 8
        elif code in (_S_COND, _D_COND):
            family, bits = program[at + 4], program[at + 5]
            size = {2: 4, 10: 16}[family]
            assert bits <= 8 * size
            least = 12 + size
        else:
            assert code == _JUMP
        assert left >= least
        assert least <= no <= left + 4
        assert no % 4 == 0
        assert no >= left or at + no in starts
        assert least <= yes <= left + 4
        assert yes % 4 == 0
        at += yes
        left -= yes


def run(program: bytes, entry: Entry) -> bool:
    """Whether a socket passes the program."""
    at = 0
    while at < len(program):
        code, yes, no = struct.unpack_from("=BBH", program, at)
        at += yes if _is_true(code, program, at, entry) else no
    return at == len(program)


def _is_true(code: int, program: bytes, at: int, entry: Entry) -> bool:
    if code == _JUMP:
        return False
    if code in (_S_COND, _D_COND):
        mine = code == _S_COND
        family, bits, port = struct.unpack_from("=BBxxi", program, at + 4)
        if port not in (-1, entry.local_port if mine else entry.remote_port):
            return False
        address = entry.local if mine else entry.remote
        wanted = program[at + 12 :]
        if family != entry.family:
            if not (entry.family == 10 and family == 2 and address.startswith(bytes(10) + b"\xff\xff")):
                return False
            address = address[12:]
        return _bits(address, bits) == _bits(wanted, bits)
    bound = struct.unpack_from("=H", program, at + 6)[0]
    port = entry.local_port if code in (_S_GE, _S_LE) else entry.remote_port
    return bool(port >= bound if code in (_S_GE, _D_GE) else port <= bound)


def _bits(data: bytes, count: int) -> str:
    return "".join(f"{byte:08b}" for byte in data)[:count]

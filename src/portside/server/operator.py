"""What an operator does to a running server and its connections: the acts, each with its event.

The event is published before the act takes effect, so that what follows from the act is shown after it. An act that
changes nothing, such as pausing a connection that is paused, makes no event. What cannot be done raises ``ActRefused``,
and a value that cannot be read InvalidValue; nothing has happened then.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from portside.errors import InvalidValue
from portside.events import Act, ActName
from portside.networks import Network, parse_network
from portside.server.admission import Admission
from portside.server.connection import Connection
from portside.server.faults.client_faults import ClientFaults, FaultSet, PlacedFault, reporter, require_live
from portside.server.leg import Hold, Leg
from portside.server.limits import LIMITS, OFF, LimitName, Value, parse_limit
from portside.server.server import Server
from portside.settings.faults import parse_fault
from portside.units import counted
from portside.wire.faults.model import FaultSpec
from portside.wire.faults.plan import AssignedFault

MOST_FAULTS: Final = 32  # on one connection
MOST_NETWORKS: Final = 10_000  # in one list, for one more to be added

_SENDS_PER_TURN: Final = 250  # of a broadcast, which take a few milliseconds

How = Literal["fin", "half", "reset"]
AccessList = Literal["allow", "deny"]
Refusal = Literal[
    "unknown_connection",  # no connection has had that number
    "connection_closed",  # it was there, and has closed
    "connection_closing",  # this side is closing it
    "sending_ended",  # our FIN is sent, or on its way
    "write_buffer_full",  # the peer does not take what is buffered for it
    "no_upstream",  # the connection has no upstream leg, or none yet
    "unknown_fault",
    "too_many_faults",
    "unknown_network",
    "too_many_networks",
]


class ActRefused(Exception):
    """An act that cannot be done now; ``code`` says why to programs."""

    def __init__(self, code: Refusal, text: str) -> None:
        super().__init__(text)
        self.code: Refusal = code


class Recipients(NamedTuple):
    """Whom a broadcast was sent to: the number of clients, and the connections that it was not sent to, and why not."""

    sent: int
    full: list[int]  # their write buffers were full
    ended: list[int]  # this side has ended sending to them, or closes them


class Operator:
    """The acts on one running server; on the loop's thread. ``by`` says who asks, as in the event ``act``.

    ``seed`` is that of ``--fault-seed``; without it the faults that draw random numbers differ in each run.
    """

    def __init__(self, server: Server, admission: Admission, *, seed: int | None = None) -> None:
        self._server = server
        self._admission = admission
        self._seed = secrets.token_hex(8) if seed is None else str(seed)

    def connection(self, number: int) -> Connection:
        """An open connection. Raises ActRefused where there is none of this number, or none any more."""
        connection = self._server.connections.get(number)
        if connection is not None and connection.is_open:
            return connection
        if connection is not None or number <= self._server.acceptor.last_number:
            raise ActRefused("connection_closed", f"connection {number} is closed")
        raise ActRefused("unknown_connection", f"no connection has the number {number}")

    def publish(self, act: ActName, by: str, detail: str | None = None, connection: Connection | None = None) -> None:
        """Publish that an act is done, to the whole server or to one connection."""
        conn, peer = (connection.number, connection.peer) if connection is not None else (None, None)
        self._server.publish(Act(at=time.time_ns(), act=act, conn=conn, peer=peer, by=by, detail=detail))

    def _usable(self, number: int) -> Connection:
        connection = self.connection(number)
        if connection.is_closing:
            raise ActRefused("connection_closing", f"connection {number} is being closed")
        return connection

    # Reading.

    def pause(self, number: int, by: str) -> bool:
        """Read nothing from a client until ``resume``; whether that is new."""
        connection = self._usable(number)
        if Hold.OPERATOR in connection.holds:
            return False
        self.publish("pause", by, connection=connection)
        connection.pause_reading(Hold.OPERATOR)
        return True

    def resume(self, number: int, by: str) -> bool:
        """Read from a client again; whether it was paused by an operator."""
        connection = self._usable(number)
        if Hold.OPERATOR not in connection.holds:
            return False
        self.publish("resume", by, connection=connection)
        connection.resume_reading(Hold.OPERATOR)
        return True

    # Sending.

    def send(self, number: int, data: bytes, by: str) -> None:
        """Send bytes to a client; nothing where its write buffer is over the high-water mark."""
        connection = self._usable(number)
        if connection.eof_sent:
            raise ActRefused("sending_ended", f"FIN was sent to connection {number}: nothing can follow it")
        if connection.write_paused:
            waiting = counted(connection.buffered_bytes, "byte")
            raise ActRefused("write_buffer_full", f"connection {number} has {waiting} waiting that it does not take")
        if data:
            self.publish("send", by, f"{len(data)} B", connection)
            connection.send(data)

    async def broadcast(self, data: bytes, by: str) -> Recipients:
        """Send bytes to every client that can take some; the loop turns meanwhile where there are many."""
        clients, sent, full, ended = list(self._server.connections.values()), 0, [], []
        self.publish("broadcast", by, f"{len(data)} B to {counted(len(clients), 'client')}")
        for place, connection in enumerate(clients, 1):
            if connection.is_closing or connection.eof_sent:
                ended.append(connection.number)
            elif connection.write_paused:
                full.append(connection.number)
            else:
                connection.send(data)
                sent += 1
            if not place % _SENDS_PER_TURN:
                await asyncio.sleep(0)
        return Recipients(sent, full, ended)

    # The end.

    def close(self, number: int, how: How, by: str) -> None:
        """Close a connection in order, after what is buffered (fin); send FIN alone (half); send RST (reset)."""
        connection = self.connection(number) if how == "reset" else self._usable(number)
        if how == "half" and connection.eof_sent:
            raise ActRefused("sending_ended", f"FIN was sent to connection {number} already")
        self.publish("close", by, how, connection)
        if how == "reset":
            connection.reset(by="operator")
        elif how == "half":
            connection.write_eof()
        else:
            connection.close("local_closed", by="operator")

    # Faults.

    def faults(self, number: int) -> list[PlacedFault]:
        """The faults that a connection has, those of ``--fault`` too."""
        faults = self.connection(number).faults
        return faults.placed if isinstance(faults, ClientFaults) else []

    def insert_fault(self, number: int, spec: str, by: str) -> PlacedFault:
        """Put a fault on an open connection, as ``--fault`` would; its times and byte counts begin now."""
        connection = self._usable(number)
        fault = parse_fault(spec)
        require_live(fault)
        leg = self._leg_of(connection, fault)
        faults = self._faults_of(connection)
        if len(faults.placed) >= MOST_FAULTS:
            raise ActRefused("too_many_faults", f"connection {number} has {MOST_FAULTS} faults already")
        self.publish("fault", by, f"{fault.text} put on, number {faults.next_number}", connection)
        return faults.insert(self._assign(connection, faults, fault), leg, by)

    def remove_fault(self, number: int, fault: int, by: str) -> PlacedFault:
        """Take one fault out; what it keeps back passes on first, in order."""
        connection = self._usable(number)
        faults = connection.faults
        placed = faults.get(fault) if isinstance(faults, ClientFaults) else None
        if placed is None or not isinstance(faults, ClientFaults):
            raise ActRefused("unknown_fault", f"connection {number} has no fault {fault}")
        if placed.is_throttle:
            self.publish("throttle", by, OFF, connection)
        else:
            self.publish("fault", by, f"{placed.spec} taken out, number {fault}", connection)
        faults.remove(fault)
        return placed

    def throttle(self, number: int, rate: str | None, by: str) -> PlacedFault | None:
        """Limit both directions of a connection to a rate, in place of the one before; None ends that."""
        connection = self._usable(number)
        faults = connection.faults
        before = next((each for each in self.faults(number) if each.is_throttle), None)
        if rate is None:
            if before is not None:
                self.remove_fault(number, before.number, by)
            return None
        if len(rate.split()) != 1:
            raise InvalidValue(f"{rate!r} is no rate: write bytes a second as 10k/s")
        fault = parse_fault(f"rate {rate}")
        if before is not None and before.assigned.fault.effect == fault.effect:
            return before
        faults = self._faults_of(connection)
        self.publish("throttle", by, fault.text.removeprefix("rate "), connection)
        assigned = self._assign(connection, faults, fault)
        if before is None:
            return faults.insert(assigned, connection, by, is_throttle=True)
        faults.set_rate(before, assigned)
        before.by, before.since = by, time.time_ns()
        return before

    def _leg_of(self, connection: Connection, fault: FaultSpec) -> Leg:
        if not fault.window.upstream:
            return connection
        leg = self._server.behaviour.upstream_leg(connection)
        if leg is None or leg.is_closing:
            raise ActRefused("no_upstream", f"connection {connection.number} has no upstream leg that is open")
        return leg

    def _faults_of(self, connection: Connection) -> ClientFaults:
        faults = connection.faults
        if not isinstance(faults, ClientFaults):
            server = self._server
            faults = ClientFaults(server.loop, FaultSet(), reporter(server.publish), connection)
            connection.faults = faults
        return faults

    def _assign(self, connection: Connection, faults: ClientFaults, fault: FaultSpec) -> AssignedFault:
        return AssignedFault(fault, f"{self._seed}/operator/{connection.number}/{faults.next_number}")

    # The whole server.

    def limits(self) -> dict[LimitName, Value]:
        """The limits that can be changed, as they are; None is no limit."""
        return {name: limit.get(self._server, self._admission) for name, limit in LIMITS.items()}

    def set_limits(self, changes: Mapping[LimitName, str | float | None], by: str) -> None:
        """Change limits, all that are named or, where one cannot be read, none."""
        parsed = {name: parse_limit(name, value) for name, value in changes.items()}
        for name, value in parsed.items():
            limit = LIMITS[name]
            if value == limit.get(self._server, self._admission):
                continue
            self.publish("limit", by, f"{name}={OFF if value is None else changes[name]}")
            limit.set(self._server, self._admission, value)

    def change_access(self, kind: AccessList, net: str, by: str, *, remove: bool = False) -> Network:
        """Put an address or a network on the list of those allowed or denied, or take it off. Names are not resolved.

        It holds for the clients that come from then on.
        """
        try:
            network = parse_network(net)
        except ValueError:
            raise InvalidValue(f"{net!r} is no address and no network: write 10.0.0.1 or 10.0.0.0/8") from None
        admission = self._admission
        listed = (admission.allowed or ()) if kind == "allow" else admission.denied
        if (network in listed) != remove:
            if remove:
                raise ActRefused("unknown_network", f"{network} is not on the list {kind}")
            return network
        if not remove and len(listed) >= MOST_NETWORKS:
            raise ActRefused("too_many_networks", f"the list {kind} has {len(listed)} networks already")
        self.publish("access", by, f"{kind} {network}{' removed' if remove else ''}")
        if kind == "allow":
            (admission.stop_allowing if remove else admission.allow)(network)
        else:
            (admission.stop_denying if remove else admission.deny)(network)
        return network

"""The acts of ``ctl``: each is one request, and a sentence that says what was done."""

from collections.abc import Mapping
from typing import Any, Literal

from portside.app.stdout import write_lines
from portside.control.client.named_server import NamedServer
from portside.ctl.output import NONE, cell, seconds_text, table_lines, write_json, write_sentence
from portside.units import counted

How = Literal["fin", "half", "reset"]
_CLOSED = {"fin": "closed", "half": "our direction is ended", "reset": "reset"}


class CtlActs:
    """The acts on a server; ``json`` writes the API's answers instead of sentences."""

    def __init__(self, server: NamedServer, *, json: bool) -> None:
        self._server = server
        self._json = json

    def send(self, conn: int, data: bytes) -> None:
        """Send bytes to one client."""
        done = self._request("POST", _of(conn, "send"), {"base64": _base64(data)})
        self._say(done, f"{self._name(conn)}: sent {done['sent']} B{_waiting(done)}")

    def broadcast(self, data: bytes) -> None:
        """Send bytes to every client."""
        done = self._request("POST", "/api/v1/broadcast", {"base64": _base64(data)})
        left_out = f", not to {counted(done['skipped'], 'client')} that cannot take it" if done["skipped"] else ""
        self._tell(done, f"sent {len(data)} B to {counted(done['sent'], 'client')}{left_out}")

    def close(self, conn: int, how: How) -> None:
        """Close a connection."""
        done = self._request("POST", _of(conn, "close"), {"how": how})
        self._say(done, f"{self._name(conn)}: {_CLOSED[how]}{_waiting(done)}")

    def pause(self, conn: int) -> None:
        """Read nothing from a client."""
        done = self._request("POST", _of(conn, "pause"))
        self._say(done, f"{self._name(conn)}: paused{'' if done['changed'] else ' already'}")

    def resume(self, conn: int) -> None:
        """Read from a client again."""
        done = self._request("POST", _of(conn, "resume"))
        self._say(done, f"{self._name(conn)}: {'resumed' if done['changed'] else 'was not paused'}")

    def throttle(self, conn: int, rate: str | None) -> None:
        """Limit both directions of a connection; None ends that."""
        if rate is None:
            self._say(self._request("DELETE", _of(conn, "throttle")), f"{self._name(conn)}: throttled no more")
        else:
            done = self._request("PUT", _of(conn, "throttle"), {"rate": rate})
            self._say(done, f"{self._name(conn)}: throttled to {done['rate']}")

    def add_fault(self, conn: int, spec: str) -> None:
        """Put a fault on a connection."""
        done = self._request("POST", _of(conn, "faults"), {"spec": spec})
        self._say(done, f"{self._name(conn)}: fault {done['id']}, {done['spec']}")

    def remove_faults(self, conn: int, number: int | None) -> None:
        """Take one fault out, or all; what they held passes on first."""
        if number is None:
            numbers = [each["id"] for each in self._request("GET", _of(conn, "faults"))["items"]]
        else:
            numbers = [number]
        gone = [self._request("DELETE", _of(conn, f"faults/{each}")) for each in numbers]
        if self._json:
            write_json(map(self._server.labelled, gone))
        elif not gone:
            write_sentence(f"{self._name(conn)}: has no faults")
        else:
            write_lines([f"{self._name(conn)}: fault {each['id']} is out, {each['spec']}" for each in gone])

    def list_faults(self, conn: int) -> None:
        """Say which faults a connection has."""
        found = self._request("GET", _of(conn, "faults"))
        if self._json:
            write_json([self._server.labelled(found)])
            return
        rows = [
            (str(each["id"]), each["spec"], each["leg"], each["phase"], str(each["held"]), each["by"] or "--fault")
            for each in found["items"]
        ]
        write_lines(table_lines((">FAULT", "SPEC", "LEG", "PHASE", ">HELD", "BY"), rows))

    def note(self, conn: int, text: str) -> None:
        """Write a note on a connection."""
        done = self._request("PATCH", f"/api/v1/connections/{conn}", {"note": text})
        self._say(done, f"{self._name(conn)}: {'note: ' + text if text else 'no note'}")

    def limit(self, changes: Mapping[str, str]) -> None:
        """Change limits; without changes say what they are."""
        limits = self._request("PATCH", "/api/v1/limits", dict(changes)) if changes else self._limits()
        if self._json:
            write_json([self._server.labelled(limits)])
        else:
            lead = self._server.lead
            write_lines([f"{lead}{name}={_limit(name, value)}" for name, value in limits.items()])

    def _limits(self) -> dict[str, Any]:
        limits: dict[str, Any] = self._request("GET", "/api/v1/limits")
        return limits

    def access(self, kind: Literal["allow", "deny"], net: str | None, *, remove: bool) -> None:
        """Put a network on a list or take it off; without one say what is on it."""
        path = "/api/v1/access"
        if net is None:
            lists = self._request("GET", path)
        elif remove:
            lists = self._server.client.request("DELETE", path, query={"list": kind, "net": net})
        else:
            lists = self._request("POST", path, {"list": kind, "net": net})
        if self._json:
            write_json([self._server.labelled(lists)])
            return
        listed, total = lists[kind], lists[f"{kind}_total"]
        lead = self._server.lead
        if net is not None:
            did = "taken off" if remove else "added"
            write_sentence(f"{lead}{kind}: {net} {did}, {counted(total, 'network')} listed")
        elif not listed:
            write_sentence(f"{lead}allow: any that is not denied" if kind == "allow" else f"{lead}deny: none")
        else:
            more = [f"and {total - len(listed)} more"] if total > len(listed) else []
            write_lines([f"{lead}{each}" for each in (*listed, *more)])

    def drain(self, within: str | None) -> None:
        """Accept nobody any more, and end with the last client."""
        done = self._request("POST", "/api/v1/drain", {} if within is None else {"within": within})
        most = "" if done["within"] is None else f", {seconds_text(done['within'])} at most"
        self._tell(done, f"accepts nobody any more; ends with the last of {counted(done['waiting'], 'client')}{most}")

    def _request(self, method: str, path: str, body: object = None) -> Any:
        return self._server.client.request(method, path, body=body)

    def _name(self, conn: int) -> str:
        return self._server.name(conn)

    def _tell(self, answer: dict[str, Any], sentence: str) -> None:
        """Say what was done to the server."""
        self._say(answer, f"{self._server.lead}{sentence}")

    def _say(self, answer: dict[str, Any] | None, sentence: str) -> None:
        if self._json:
            write_json([self._server.labelled(answer) if answer is not None else None])
        else:
            write_sentence(sentence)


def _of(conn: int, act: str) -> str:
    return f"/api/v1/connections/{conn}/{act}"


def _base64(data: bytes) -> str:
    import binascii

    return binascii.b2a_base64(data, newline=False).decode()


def _waiting(done: Mapping[str, Any]) -> str:
    return f", {done['buffered']} B wait for the client" if done["buffered"] else ""


def _limit(name: str, value: float | None) -> str:
    if value is None:
        return "off"
    return f"{value:g}s" if name.endswith("timeout") else cell(value) or NONE

"""``portside listen``: read the settings, open the ports, and only then load the rest.

A port that is open takes connections while the rest is loaded, so a client that is started right after the server
finds it there.
"""

import shutil
import signal
import socket
from dataclasses import replace

from portside.addresses import Address
from portside.errors import PortsideError, UsageError
from portside.server.admission import admission_of
from portside.server.listener import open_listeners
from portside.server.pre_connect import PreConnect
from portside.settings.listen import DEFAULT_PORT, Listen

BEHAVIOURS = {
    "echo": "--echo",
    "chat": "--chat",
    "broker": "--broker",
    "exec": "--exec",
    "sh_exec": "--sh-exec",
    "handler": "--handler",
    "forward": "--forward",
    "rules": "--rules",
    "reply": "--reply",
}
"""What a client gets back: at most one of these."""
PROGRAMS_AT_ONCE = 100  # where --max-conns says nothing: as ncat


def run(settings: Listen) -> int:
    """Serve with these settings until the end; the exit status."""
    if settings.send_only and settings.recv_only:
        raise UsageError("listen", "--send-only and --recv-only exclude each other")
    if settings.stdin and settings.recv_only:
        raise UsageError("listen", "--stdin and --recv-only exclude each other")
    if settings.stdin is False and settings.send_only:
        raise UsageError("listen", "--send-only and --no-stdin exclude each other")
    if settings.ipv4 and settings.ipv6:
        raise UsageError("listen", "-4 and -6 exclude each other")
    if settings.record is None and (settings.record_max is not None or settings.record_sync):
        raise UsageError("listen", "--record-max and --record-sync go with --record")
    if settings.fault_seed is not None and not settings.fault:
        raise UsageError("listen", "--fault-seed goes with --fault")
    if settings.forward is None and any(fault.upstream for fault in settings.fault):
        raise UsageError("listen", "a fault upstream goes with --forward")
    given = [flag for name, flag in BEHAVIOURS.items() if getattr(settings, name)]
    if len(given) > 1:
        raise UsageError("listen", f"{given[0]} and {given[1]} exclude each other")
    if settings.send_only and given:
        raise UsageError("listen", f"--send-only drops what clients send, and {given[0]} answers it")
    settings = _checked(settings)
    pre_connect = _pre_connect(settings)
    families: tuple[int, ...] = (socket.AF_INET, socket.AF_INET6)
    if settings.ipv4 or settings.ipv6:
        families = (socket.AF_INET,) if settings.ipv4 else (socket.AF_INET6,)
    addresses = settings.addresses or (Address(None, range(DEFAULT_PORT, DEFAULT_PORT + 1)),)
    admission = admission_of(settings)
    # Until the loop handles them they wait: raised in the middle of an import, Ctrl-C may be lost there for good.
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    listeners = open_listeners(addresses, families=families, backlog=settings.backlog)

    from portside.app import listen

    return listen.run(settings, listeners, admission, pre_connect)


def _pre_connect(settings: Listen) -> PreConnect:
    """What comes before a client is connected: TLS, a PROXY header. Raises UsageError and PortsideError."""
    for name in ("tls_cert", "tls_key", "tls_ca", "tls_verify", "tls_alpn"):
        if getattr(settings, name) and not settings.tls:
            raise UsageError("listen", f"--{name.replace('_', '-')} goes with --tls")
    if settings.tls_key is not None and settings.tls_cert is None:
        raise UsageError("listen", "--tls-key goes with --tls-cert")
    if settings.tls_verify and settings.tls_ca is None:
        raise UsageError("listen", "--tls-verify goes with --tls-ca", "--tls-ca FILE says who may have signed")
    if settings.proxy_protocol_from and not settings.proxy_protocol:
        raise UsageError("listen", "--proxy-protocol-from goes with --proxy-protocol")
    if not settings.tls and not settings.proxy_protocol:
        return PreConnect()
    from portside.app.handshakes import make_handshakes

    return make_handshakes(settings)


def _checked(settings: Listen) -> Listen:
    """What a behaviour needs is looked for before the port is open. Raises PortsideError."""
    if settings.exec is not None:
        from portside.client.process import split_command

        program = split_command(settings.exec)[0]
        if shutil.which(program) is None:
            raise PortsideError("--exec", f"there is no program {program}")
    if (settings.exec is not None or settings.sh_exec is not None) and settings.max_conns is None:
        settings = replace(settings, max_conns=PROGRAMS_AT_ONCE)
    if settings.forward is not None and (settings.stdin or settings.send_only):
        raise UsageError("listen", f"--forward and {'--stdin' if settings.stdin else '--send-only'} exclude each other")
    if settings.forward is None and (settings.forward_tls or settings.send_proxy):
        raise UsageError("listen", f"{'--forward-tls' if settings.forward_tls else '--send-proxy'} goes with --forward")
    if not settings.forward_tls and (settings.forward_tls_ca or settings.forward_tls_verify is not None):
        raise UsageError("listen", "--forward-tls-ca and --forward-tls-verify go with --forward-tls")
    if settings.rules is not None or settings.reply:
        from portside.app.rules import first_play

        first_play(settings.rules, settings.reply)
    if settings.handler is not None:
        from portside.behaviours.handler import load

        load(settings.handler)
    return settings

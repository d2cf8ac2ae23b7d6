"""The types of keyword arguments, for editors and type checkers; what they mean is told by ``settings``.

A DURATION is text (``"500ms"``) or seconds, a SIZE text (``"64k"``) or bytes, a COUNT a whole number or its text.
"""

import os
from collections.abc import Iterable
from typing import TypedDict

Duration = float | str
Size = int | str
Count = int | str
Path = str | os.PathLike[str]
Several = str | Iterable[str]
Paths = Path | Iterable[Path]


class ConnectOptions(TypedDict, total=False):
    """The options of ``portside.connect``: those of the command ``portside connect`` that are about the connection."""

    timeout: Duration
    source: str | None
    ipv4: bool
    ipv6: bool
    retry: Count | None
    retry_interval: Duration
    proxy: str | None
    tls: bool
    tls_servername: str | None
    tls_verify: bool | None
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    tls_key_password_file: Path | None
    tls_alpn: Several
    idle_timeout: Duration | None
    half_close_timeout: Duration | None
    keepalive: Duration | None
    encoding: str
    record: Path | None
    record_mode: Count


class ListenOptions(TypedDict, total=False):
    """The options of ``portside.listen``: those of the command ``portside listen`` that are about the server."""

    frame: str | None
    max_frame: Size
    encoding: str
    output: Paths
    record: Path | None
    record_mode: Count
    record_max: Size | None
    record_sync: bool
    max_conns: Count | None
    max_conns_per_ip: Count | None
    allow: Several
    deny: Several
    allow_file: Paths
    deny_file: Paths
    echo: bool
    chat: bool
    broker: bool
    exec: str | None
    sh_exec: str | None
    pty: bool
    forward: str | None
    forward_tls: bool
    forward_tls_ca: Path | None
    forward_tls_verify: bool | None
    send_proxy: str | None
    rules: Path | None
    reply: Several
    greet: bytes | str | None
    tls: bool
    tls_cert: Path | None
    tls_key: Path | None
    tls_key_password_file: Path | None
    tls_ca: Path | None
    tls_verify: bool
    tls_alpn: Several
    max_handshakes: Count
    proxy_protocol: bool
    proxy_protocol_from: Several
    fault: Several
    fault_seed: Count | None
    idle_timeout: Duration | None
    half_close_timeout: Duration | None
    keepalive: Duration | None
    backlog: Count | None
    reuse_port: bool
    unix_mode: Count | None
    unix_group: Count | None
    ipv4: bool
    ipv6: bool

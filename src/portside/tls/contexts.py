"""The two kinds of ``ssl.SSLContext``: a server's and a client's, from files in PEM form."""

import errno
import os
import ssl
from typing import Any, Literal

from portside.tls.words import TlsError, tls_error

FileRole = Literal["certificate", "key", "certificate and key", "authorities", "key log", "key password"]
_NO_PEM = {"PEM lib": "no certificate with its key in PEM form is there"}
_MOST_PASSWORD_BYTES = 1024  # that Python's ssl module takes
KEY_ENCRYPTED = "KEY_ENCRYPTED"  # the reason of a TlsError


class TlsFileError(Exception):
    """A file that cannot be used for a context: which one, and why.

    ``is_content`` is True if OpenSSL rejects the content of the file, False if the file cannot be read.
    """

    def __init__(self, role: FileRole, why: OSError | str, *, is_content: bool = False) -> None:
        super().__init__(role, why)
        self.role = role
        self.why = why
        self.is_content = is_content


def server_context(
    *,
    certificate: str | None = None,
    key: str | None = None,
    key_password: str | None = None,
    ca: str | None = None,
    verify: bool = False,
    alpn: tuple[str, ...] = (),
    key_log: str | None = None,
) -> tuple[ssl.SSLContext, bytes | None]:
    """A context for clients, and the certificate (DER) where a self-signed one was made in place of ``certificate``.

    ``key_password`` is a file whose first line decrypts ``key``. With ``ca`` clients are asked for a certificate, with
    ``verify`` they must have one. ``key_log`` is a file to which the secrets of each session are appended (NSS key log
    format). Raises TlsFileError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sslobject_class = _SslObject
    context.sni_callback = _keep_name
    made = None
    if certificate is not None:
        _load_own(context, certificate, key, key_password)
    else:
        from portside.tls.self_signed import load_self_signed

        made = load_self_signed(context)
    if ca is not None:
        _load_authorities(context, ca)
        context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_OPTIONAL
    _set_up(context, alpn, key_log)
    return context, made


def client_context(
    *,
    verify: bool = True,
    ca: str | None = None,
    certificate: str | None = None,
    key: str | None = None,
    key_password: str | None = None,
    alpn: tuple[str, ...] = (),
    key_log: str | None = None,
) -> ssl.SSLContext:
    """A context for servers; ``ca`` None means the authorities of the system, the rest is as for ``server_context``.

    Where ``verify`` holds, each session needs the name of the server. Raises TlsFileError.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca is not None:
        _load_authorities(context, ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if certificate is not None:
        _load_own(context, certificate, key, key_password)
    _set_up(context, alpn, key_log)
    return context


class _SslObject(ssl.SSLObject):
    """A server's session, with the server name (SNI) that the client requested."""

    sni: str | None = None


def _keep_name(tls: Any, name: str | None, _context: ssl.SSLContext) -> None:
    tls.sni = name


def _set_up(context: ssl.SSLContext, alpn: tuple[str, ...], key_log: str | None) -> None:
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if key_log is not None:
        try:
            context.keylog_filename = key_log
        except OSError as error:
            raise TlsFileError("key log", error) from None


def _load_own(context: ssl.SSLContext, certificate: str, key: str | None, key_password: str | None) -> None:
    """Load our certificate and its key; without ``key`` both are in one file."""
    password = _Password(key_password)
    try:
        context.load_cert_chain(certificate, key, password.take)
    except ssl.SSLError as error:
        failure = tls_error(error)
        words = str(failure.strerror)
        if password.was_taken and words in _NO_PEM:
            raise TlsFileError("key password", "it does not decrypt the key", is_content=True) from None
        raise TlsFileError("certificate and key", _NO_PEM.get(words, words), is_content=True) from None
    except OSError as error:
        role: FileRole = "certificate and key"
        if error.errno in (errno.ENOENT, errno.EACCES):  # OpenSSL does not say of which of the two
            role = "key" if key is not None and os.access(certificate, os.R_OK) else "certificate"
        raise TlsFileError(role, error) from None


class _Password:
    """The password of an encrypted key: the first line of a file, which is read when OpenSSL asks for it."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self.was_taken = False

    def take(self) -> bytes:
        """The password. Raises TlsError without a file, TlsFileError for one that is not good."""
        if self._path is None:
            raise TlsError("the key is encrypted", KEY_ENCRYPTED)
        try:
            with open(self._path, "rb") as file:
                line = file.readline(_MOST_PASSWORD_BYTES + 2)
        except OSError as error:
            raise TlsFileError("key password", error) from None
        password = line.removesuffix(b"\n").removesuffix(b"\r")
        if not password:
            raise TlsFileError("key password", "its first line is empty", is_content=True)
        if len(password) > _MOST_PASSWORD_BYTES:
            raise TlsFileError("key password", "its first line is too long for a password", is_content=True)
        self.was_taken = True
        return password


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    """Load the certificates whose signature is trusted: of authorities, of intermediate ones, or of a peer itself."""
    try:
        context.load_verify_locations(path)
    except ssl.SSLError:
        raise TlsFileError("authorities", "no certificate in PEM form is in it", is_content=True) from None
    except OSError as error:
        raise TlsFileError("authorities", error) from None
    # A chain may end with any certificate of the file, as it may in other TLS libraries.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN

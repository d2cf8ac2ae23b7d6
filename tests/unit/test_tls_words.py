"""What is said of TLS."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from portside.client.tls import client_context
from portside.errors import PortsideError
from portside.server.throwaway import make_certificate
from portside.server.tls_context import server_context
from portside.wire.tls import TlsError, fingerprint_of, shortened, subject_of, words_of


def test_openssl_words_without_its_numbers() -> None:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
    assert words_of(error) == "wrong version number"
    assert words_of(OSError()) == "OSError"
    assert words_of(ssl.SSLError(1, "a\x1b[2J")) == "a\\x1b[2J"
    assert TlsError("why").strerror == "why"
    assert shortened("x" * 300) == "x" * 200 + "…"


def test_whose_a_certificate_is() -> None:
    certificate = ssl.PEM_cert_to_DER_cert(make_certificate()[0].decode())
    assert subject_of(certificate) == "CN=localhost"
    assert subject_of(None) is None
    assert subject_of(b"\x30\x03abc") == "unreadable"
    assert fingerprint_of(b"")[:8] == "E3:B0:C4"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    certificate, key = make_certificate()
    contents = {"cert": certificate, "key": key, "both": certificate + key, "none": b"nothing\n"}
    contents["other"] = make_certificate()[1]
    contents["locked"] = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
    )
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return {name: str(tmp_path / name) for name in (*contents, "missing")}


def test_files_that_are_good(files: dict[str, str]) -> None:
    context, made = server_context(certificate=files["both"])
    assert made is None
    assert context.verify_mode == ssl.CERT_NONE
    assert server_context(certificate=files["cert"], key=files["key"], ca=files["cert"])[0].verify_mode == (
        ssl.CERT_OPTIONAL
    )
    assert server_context(ca=files["cert"], verify=True, alpn=("h2",))[0].verify_mode == ssl.CERT_REQUIRED
    client = client_context(ca=files["cert"], certificate=files["both"], alpn=("h2",))
    assert client.verify_mode == ssl.CERT_REQUIRED
    assert client_context().check_hostname
    assert client_context(verify=False).verify_mode == ssl.CERT_NONE


@pytest.mark.parametrize(
    ("certificate", "key", "words"),
    [
        ("missing", None, "--tls-cert .*missing: No such file"),
        ("cert", "missing", "--tls-key .*missing: No such file"),
        ("cert", None, "no certificate with its key in PEM form is there"),
        ("none", "key", "no certificate with its key in PEM form is there"),
        ("cert", "locked", "the key is encrypted"),
        ("cert", "other", "key values mismatch"),
    ],
)
def test_files_that_are_not(files: dict[str, str], certificate: str, key: str | None, words: str) -> None:
    with pytest.raises(PortsideError, match=words):
        server_context(certificate=files[certificate], key=None if key is None else files[key])


def test_other_files_that_are_not(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PortsideError, match="no certificate in PEM form is in it"):
        client_context(ca=files["none"])
    with pytest.raises(PortsideError, match=r"--tls-ca .*missing: No such file"):
        client_context(ca=files["missing"])
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexistent/keys")
    with pytest.raises(PortsideError, match="SSLKEYLOGFILE /nonexistent/keys: No such file"):
        client_context()

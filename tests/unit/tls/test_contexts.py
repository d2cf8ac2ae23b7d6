"""Contexts from files, failures and certificates in words."""

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from portside.app import tls as app_tls
from portside.errors import PortsideError
from portside.settings.connect import Connect
from portside.settings.listen import Listen
from portside.tls.contexts import TlsFileError, client_context, server_context
from portside.tls.self_signed import make_certificate
from portside.tls.words import TlsError, describe_error, fingerprint_of, shortened, subject_of


def test_openssl_words_without_its_numbers() -> None:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)")
    assert describe_error(error) == "wrong version number"
    assert describe_error(OSError()) == "OSError"
    assert describe_error(ssl.SSLError(1, "a\x1b[2J")) == "a\\x1b[2J"
    assert TlsError("why").strerror == "why"
    assert shortened("x" * 300) == "x" * 200 + "…"


def test_subject_and_fingerprint_of_a_certificate() -> None:
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
    contents |= {
        "password": b"secret\nnot this\n", "password of Windows": b"secret\r\n",
        "wrong": b"Secret\n", "empty": b"\nsecret", "long": b"x" * 1025,
    }  # fmt: skip
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return {name: str(tmp_path / name) for name in (*contents, "missing")}


def test_files_that_are_good(files: dict[str, str]) -> None:
    context, self_signed = server_context(certificate=files["both"])
    assert self_signed is None
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
    ("certificate", "key", "role", "is_content"),
    [
        ("missing", None, "certificate", False),
        ("cert", "missing", "key", False),
        ("cert", None, "certificate and key", True),
        ("none", "key", "certificate and key", True),
        ("cert", "locked", "certificate and key", False),
        ("cert", "other", "certificate and key", True),
    ],
)
def test_the_file_that_is_not_good_is_named_by_its_role(
    files: dict[str, str], certificate: str, key: str | None, role: str, is_content: bool
) -> None:
    with pytest.raises(TlsFileError) as caught:
        server_context(certificate=files[certificate], key=None if key is None else files[key])
    assert (caught.value.role, caught.value.is_content) == (role, is_content)


def test_authorities_and_key_log_that_are_not_good(files: dict[str, str]) -> None:
    for arguments, role in (
        ({"ca": files["none"]}, "authorities"),
        ({"ca": files["missing"]}, "authorities"),
        ({"key_log": "/nonexistent/keys"}, "key log"),
    ):
        with pytest.raises(TlsFileError) as caught:
            client_context(**arguments)  # type: ignore[arg-type]
        assert caught.value.role == role


@pytest.mark.parametrize(
    ("certificate", "key", "words", "has_hint"),
    [
        ("missing", None, "--tls-cert .*missing: No such file", False),
        ("cert", "missing", "--tls-key .*missing: No such file", False),
        ("cert", None, "--tls-cert .*cert: no certificate with its key in PEM form is there", True),
        ("none", "key", "--tls-cert .* and --tls-key .*no certificate with its key in PEM form is there", False),
        ("cert", "locked", "the key is encrypted", True),
        ("cert", "other", "key values mismatch", False),
    ],
)
def test_users_are_told_the_option_of_a_file(
    files: dict[str, str], certificate: str, key: str | None, words: str, has_hint: bool
) -> None:
    settings = Listen(tls=True, tls_cert=files[certificate], tls_key=None if key is None else files[key])
    with pytest.raises(PortsideError, match=words) as caught:
        app_tls.server_context(settings)
    assert (caught.value.hint is not None) is has_hint


@pytest.mark.parametrize("password", ["password", "password of Windows"])
def test_an_encrypted_key_is_read_with_its_password(files: dict[str, str], password: str) -> None:
    for settings in (Listen, Connect):
        options = settings(
            tls=True, tls_cert=files["cert"], tls_key=files["locked"], tls_key_password_file=files[password]
        )
        make = app_tls.server_context if isinstance(options, Listen) else app_tls.client_context
        assert isinstance(make(options), ssl.SSLContext)  # type: ignore[arg-type]


def test_an_encrypted_key_in_the_file_of_its_certificate(files: dict[str, str], tmp_path: Path) -> None:
    legacy = load_pem_private_key(Path(files["key"]).read_bytes(), None).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret")
    )
    both = tmp_path / "locked both"
    both.write_bytes(legacy + Path(files["cert"]).read_bytes())
    assert server_context(certificate=str(both), key_password=files["password"])[1] is None
    with pytest.raises(TlsFileError, match="it does not decrypt the key"):
        server_context(certificate=str(both), key_password=files["wrong"])


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("wrong", "it does not decrypt the key"),
        ("empty", "its first line is empty"),
        ("long", "its first line is too long for a password"),
        ("missing", "No such file or directory"),
    ],
)
def test_a_password_that_is_not_good(files: dict[str, str], password: str, words: str) -> None:
    settings = Listen(tls=True, tls_cert=files["cert"], tls_key=files["locked"], tls_key_password_file=files[password])
    with pytest.raises(PortsideError) as caught:
        app_tls.server_context(settings)
    assert str(caught.value) == f"--tls-key-password-file {files[password]}: {words}"


def test_users_are_told_the_option_of_other_files(files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PortsideError, match="no certificate in PEM form is in it"):
        app_tls.client_context(Connect(tls=True, tls_ca=files["none"]))
    with pytest.raises(PortsideError, match=r"^--forward-tls-ca .*missing: No such file"):
        app_tls.upstream_context(Listen(forward_tls=True, forward_tls_ca=files["missing"]))
    monkeypatch.setenv("SSLKEYLOGFILE", "/nonexistent/keys")
    with pytest.raises(PortsideError, match="SSLKEYLOGFILE /nonexistent/keys: No such file"):
        app_tls.client_context(Connect(tls=True))

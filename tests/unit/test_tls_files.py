"""The files that TLS needs of us: each that cannot be used has its own message, and each is taken up anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import pkcs12

from postbeat.model import FaultCode, LocalFault, TlsVersion
from postbeat.tls import context as contexts
from postbeat.tls.context import tls_context
from postbeat.tls.options import TlsOptions

PASSWORD = "correct horse"


def fault_of(**how: Any) -> LocalFault:
    with pytest.raises(LocalFault) as caught:
        tls_context(TlsOptions(**how))
    return caught.value


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def client(authority: trustme.CA, tmp_path: Path) -> Client:
    return Client(tmp_path, authority.issue_cert("probe@example.com"))


class Client:
    """The files of a client certificate."""

    def __init__(self, folder: Path, leaf: trustme.LeafCert) -> None:
        self.folder = folder
        self.leaf = leaf
        self.key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        self.certificate = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())

    def file(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def chain(self) -> str:
        return self.file("client.pem", b"".join(blob.bytes() for blob in self.leaf.cert_chain_pems))

    def key_in(
        self, encoding: serialization.Encoding, style: serialization.PrivateFormat, password: str = ""
    ) -> bytes:
        how: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            how = serialization.BestAvailableEncryption(password.encode())
        return self.key.private_bytes(encoding, style, how)

    def pem_key(self, password: str = "") -> str:
        style = serialization.PrivateFormat.PKCS8
        return self.file("client.key", self.key_in(serialization.Encoding.PEM, style, password))

    def fault(self, **how: Any) -> str:
        """What is said where the client certificate cannot be used."""
        how = {"certificate_file": self.chain()} | how
        fault = fault_of(**how)
        assert fault.code is FaultCode.FILE
        return fault.message.replace(f"{self.folder}/", "")


@pytest.mark.parametrize(
    "style", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
def test_an_encrypted_key_opens_with_its_password_alone(
    client: Client, style: serialization.PrivateFormat
) -> None:
    key = client.file("client.key", client.key_in(serialization.Encoding.PEM, style, PASSWORD))
    tls_context(TlsOptions(certificate_file=client.chain(), key_file=key, key_password=PASSWORD))
    assert client.fault(key_file=key) == "the key in client.key is encrypted: set sslkeypassword"
    for wrong in ("wrong", "x" * 5000):
        assert client.fault(key_file=key, key_password=wrong) == (
            "the key in client.key does not open with the password that sslkeypassword gives"
        )


def test_certificate_and_key_may_stand_in_one_file(client: Client) -> None:
    both = client.file("both.pem", client.leaf.private_key_and_cert_chain_pem.bytes())
    tls_context(TlsOptions(certificate_file=both))
    tls_context(TlsOptions(certificate_file=both, key_password="not needed"))


def test_a_key_of_another_certificate_is_told(client: Client, authority: trustme.CA, tmp_path: Path) -> None:
    other = client.file("other.key", authority.issue_cert("x@example.com").private_key_pem.bytes())
    assert client.fault(key_file=other) == (
        "the key in other.key does not belong to the client certificate in client.pem;"
        " give the key that the certificate was made for"
    )


def test_what_is_not_in_pem_is_told_with_how_to_convert_it(client: Client) -> None:
    der, style = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
    certificate = client.file("client.der", client.certificate.public_bytes(der))
    assert client.fault(certificate_file=certificate, key_file=client.pem_key()) == (
        "the certificate in client.der is in DER; convert it:"
        " openssl x509 -inform DER -in client.der -out client.pem"
    )
    for password in ("", PASSWORD):
        key = client.file("key.der", client.key_in(der, style, password))
        assert client.fault(key_file=key, key_password=password) == (
            "the key in key.der is in DER; convert it: openssl pkey -inform DER -in key.der -out key.pem"
        )
    assert isinstance(client.key, ec.EllipticCurvePrivateKey)
    bundle = pkcs12.serialize_key_and_certificates(
        b"x", client.key, client.certificate, None, serialization.NoEncryption()
    )
    assert client.fault(certificate_file=client.file("client.p12", bundle)) == (
        "the certificate in client.p12 is not in PEM, perhaps in PKCS #12; convert it:"
        " openssl pkcs12 -in client.p12 -out client.pem"
    )


def test_each_file_that_cannot_be_used_has_its_own_message(client: Client) -> None:
    text = client.file("notes.txt", b"buy milk\n")
    assert client.fault(certificate_file=text) == "notes.txt holds no certificate in PEM"
    assert client.fault(key_file=text) == "notes.txt holds no key in PEM"
    assert client.fault() == "client.pem holds no key in PEM"
    assert client.fault(ca_file=text, key_file=client.pem_key()) == "notes.txt holds no certificate in PEM"
    damaged = client.file("bad.key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    assert client.fault(key_file=damaged) == "the key in bad.key is damaged"
    half = client.file("half.pem", client.leaf.cert_chain_pems[0].bytes()[:200])
    said = client.fault(certificate_file=half, key_file=client.pem_key())
    assert said.startswith("cannot use the client certificate in half.pem: ")
    assert client.fault(ca_file=half, key_file=client.pem_key()).startswith(
        "the certificates in half.pem cannot be read"
    )


@pytest.mark.parametrize(
    ("field", "name"),
    [("ca_file", "tlscafile"), ("certificate_file", "sslcertificatefile"), ("key_file", "sslkeyfile")],
)
def test_a_file_that_cannot_be_read_is_named_with_its_field(client: Client, field: str, name: str) -> None:
    files = {"certificate_file": client.chain(), "key_file": client.pem_key()}
    nowhere = f"{client.folder}/nowhere.pem"
    assert client.fault(**{**files, field: nowhere}) == (
        f"cannot read nowhere.pem, which {name} names: No such file or directory"
    )
    pipe = f"{client.folder}/pipe"
    os.mkfifo(pipe)
    assert client.fault(**{**files, field: pipe}) == (
        f"cannot read pipe, which {name} names: it is no ordinary file"
    )
    endless = client.file("endless.pem", bytes((4 << 20) + 1))
    assert "is larger than" in client.fault(**{**files, field: endless})


def weak_client(folder: Path) -> TlsOptions:
    """A certificate of the time of TLSv1, which OpenSSL takes at its lowest security level only."""
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "old")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=9))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "old.pem").write_bytes(certificate + pem)
    return TlsOptions(certificate_file=str(folder / "old.pem"))


def test_a_client_certificate_that_is_too_weak_is_told_and_accepted_for_a_legacy_server(
    tmp_path: Path,
) -> None:
    weak = weak_client(tmp_path).certificate_file
    assert fault_of(certificate_file=weak).message == (
        f"the client certificate in {weak} is too weak for OpenSSL; tlslegacy: true accepts it"
    )
    tls_context(TlsOptions(certificate_file=weak, legacy=True, lowest=TlsVersion.V1))


def replaced(file: Path, data: bytes) -> None:
    new = file.with_suffix(".new")
    new.write_bytes(data)
    new.rename(file)


@pytest.mark.parametrize("renew", [Path.write_bytes, replaced])
def test_a_context_is_kept_until_one_of_its_files_is_renewed(
    client: Client, authority: trustme.CA, renew: Callable[[Path, bytes], object]
) -> None:
    file = client.folder / "ca.pem"
    file.write_bytes(authority.cert_pem.bytes())
    asked = TlsOptions(ca_file=str(file))
    before = tls_context(asked)
    assert tls_context(TlsOptions(ca_file=str(file))) is before
    renew(file, trustme.CA().cert_pem.bytes() + authority.cert_pem.bytes())
    after = tls_context(asked)
    assert after is not before
    assert len(after.get_ca_certs()) == 2
    file.unlink()
    assert fault_of(ca_file=str(file)).code is FaultCode.FILE


def test_no_more_than_so_many_contexts_are_kept(authority: trustme.CA, tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    first = tls_context(TlsOptions(ca_file=str(file), key_password="0"))
    for number in range(1, contexts.LIMIT):
        tls_context(TlsOptions(ca_file=str(file), key_password=str(number)))
    assert tls_context(TlsOptions(ca_file=str(file), key_password="0")) is first
    for number in range(contexts.LIMIT):
        tls_context(TlsOptions(ca_file=str(file), key_password=f"other {number}"))
    assert tls_context(TlsOptions(ca_file=str(file), key_password="0")) is not first

"""What an element asks of TLS, as OpenSSL is told it, and when a certificate is warned of."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from postbeat import grade, settings
from postbeat.elements import SmtpElement
from postbeat.model import FaultCode, LocalFault, Secret, TlsVersion
from postbeat.results import TlsFacts
from postbeat.tls import ciphers
from postbeat.tls.context import tls_context
from postbeat.tls.options import TlsDefaults, TlsOptions, options_of
from postbeat.tls.recent import Recent

V1, V1_1, V1_2, V1_3 = TlsVersion
PASSWORD = "correct horse"
DEFAULT_OF_THE_PAGE = "RC4:3DES:DES:+EXP"
DAY_US = 86_400_000_000


def element(**fields: Any) -> SmtpElement:
    return SmtpElement(name="out", server="mail.example.com", **fields)


def options(defaults: TlsDefaults | None = None, **fields: Any) -> TlsOptions:
    return options_of(element(**fields), "", defaults or TlsDefaults())


def offered(**how: Any) -> list[str]:
    """The ciphers up to TLSv1.2 that a context offers."""
    found = tls_context(TlsOptions(**how)).get_ciphers()
    return [cipher["name"] for cipher in found if not cipher["name"].startswith("TLS_")]


def fault_of(**how: Any) -> LocalFault:
    with pytest.raises(LocalFault) as caught:
        tls_context(TlsOptions(**how))
    return caught.value


@pytest.mark.parametrize(
    ("fields", "lowest"),
    [
        ({}, V1_2),
        ({"tlsminversion": V1_3}, V1_3),
        ({"tlsminversion": V1_1}, V1_1),
        ({"tlslegacy": True}, V1),
        ({"tlslegacy": True, "tlsminversion": V1_2}, V1_2),
        ({"tlslegacy": True, "ssldisabletls": 1}, V1_1),
        ({"tlsminversion": V1, "ssldisabletls": 1}, V1_1),
        ({"ssldisabletls": 1}, V1_2),
    ],
)
def test_the_lowest_version_follows_from_what_the_element_says(
    fields: dict[str, Any], lowest: TlsVersion
) -> None:
    assert options(**fields).lowest is lowest
    assert tls_context(options(**fields)).minimum_version.name == f"TLS{lowest[3:]}".replace(".", "_")


def test_the_monitor_can_leave_tls_1_out_for_all_elements() -> None:
    none = TlsDefaults(disable_tls1=True)
    assert options(none, tlslegacy=True).lowest is V1_1
    assert options(none).lowest is V1_2


def test_a_highest_version_is_held() -> None:
    assert tls_context(options(tlsmaxversion=V1_2)).maximum_version is ssl.TLSVersion.TLSv1_2


def test_what_is_verified_follows_from_the_element_alone() -> None:
    assert tls_context(options()).verify_mode is ssl.CERT_REQUIRED
    assert tls_context(options()).check_hostname
    assert tls_context(options(tlsverify=False)).verify_mode is ssl.CERT_NONE


def test_the_name_to_verify_is_the_server_unless_another_is_given() -> None:
    assert element().tls_name == "mail.example.com"
    assert element(tlsservername="mx.example.com").tls_name == "mx.example.com"
    assert SmtpElement(name="out", server="[2001:db8::25]").tls_name == "2001:db8::25"
    assert SmtpElement(name="out", server="mail.example.com.").tls_name == "mail.example.com"


def test_the_monitors_certificate_is_for_elements_without_one() -> None:
    ours = TlsDefaults(certificate_file="/c", key_file="/k", ciphers="AESGCM")
    assert (options(ours).certificate_file, options(ours).key_file) == ("/c", "/k")
    own = options(ours, sslcertificatefile="/own", sslciphersuite="CHACHA20")
    assert (own.certificate_file, own.key_file, own.ciphers) == ("/own", "", "CHACHA20")


def test_the_monitors_certificate_comes_from_the_environment(tmp_path: Path) -> None:
    environ = {
        "POSTBEAT_SSL_CERTIFICATE_FILE": "/c",
        "POSTBEAT_SSL_KEY_FILE": "/k",
        "POSTBEAT_SSL_KEY_PASSWORD": PASSWORD,
        "POSTBEAT_SSL_CIPHER_SUITE": DEFAULT_OF_THE_PAGE,
        "POSTBEAT_SSL_DISABLE_TLS": "1",
    }
    found = settings.load(environ).tls_defaults()
    assert found == TlsDefaults("/c", "/k", Secret("literal", PASSWORD), DEFAULT_OF_THE_PAGE, True)
    environ["POSTBEAT_SSL_KEY_PASSWORD_FILE"] = "/p"
    assert settings.load(environ).tls_defaults().key_password == Secret("file", "/p")
    assert PASSWORD not in repr(settings.load(environ))
    assert PASSWORD not in repr(TlsOptions(key_password=PASSWORD))


def test_the_ciphers_of_the_page_that_are_no_more_give_way_to_openssls_own() -> None:
    suite = ciphers.fitted(DEFAULT_OF_THE_PAGE)
    if suite.text != "DEFAULT":
        pytest.skip("this OpenSSL still has some of them")
    assert suite.dropped == ("RC4", "3DES", "DES", "+EXP")
    assert suite.note.startswith("RC4, 3DES, DES, +EXP: unknown to OpenSSL")
    assert offered(ciphers=DEFAULT_OF_THE_PAGE)


@pytest.mark.parametrize("asked", ["RC4:AES256-SHA", "RC4-SHA,AES256-SHA", "AES256-SHA EXP-RC4-MD5"])
def test_of_a_mixed_string_the_ciphers_that_exist_are_left(asked: str) -> None:
    assert ciphers.fitted(asked).text == "AES256-SHA"
    assert len(ciphers.fitted(asked).dropped) == 1


def test_a_string_that_openssl_knows_is_left_as_it_is() -> None:
    assert ciphers.fitted("ECDHE+AESGCM:!SHA256:@STRENGTH") == ciphers.Suite("ECDHE+AESGCM:!SHA256:@STRENGTH")
    assert all("GCM" in name for name in offered(ciphers="ECDHE+AESGCM"))


@pytest.mark.parametrize(
    "asked", ["NONSENSE", "AES:!AES", "TLS_AES_128_GCM_SHA256", ":", "!ALL", "RC4:NONSENSE"]
)
def test_a_string_that_leaves_no_cipher_is_our_own_fault(asked: str) -> None:
    fault = fault_of(ciphers=asked)
    assert fault.code is FaultCode.OPTION
    assert fault.message.startswith(f"sslciphersuite {asked!r} selects no cipher that OpenSSL")


@pytest.mark.parametrize("asked", ["ALL", "ALL:aNULL:eNULL", "COMPLEMENTOFDEFAULT:AES256-SHA"])
def test_where_a_certificate_is_verified_no_cipher_does_without_one(asked: str) -> None:
    assert any(name.startswith(("ADH", "AECDH")) for name in offered(ciphers=asked, verify=False))
    assert not any(name.startswith(("ADH", "AECDH")) for name in offered(ciphers=asked))
    assert fault_of(ciphers="aNULL").code is FaultCode.OPTION


def test_a_legacy_element_offers_all_that_openssl_has() -> None:
    assert "AES256-SHA" in offered(legacy=True, lowest=V1)
    assert not any(name.startswith("ADH") for name in offered(legacy=True, lowest=V1))


def test_what_was_not_used_for_longest_is_forgotten_first() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c"), len(recent)) == (1, None, 3, 2)


def warning(days: float, expiring: str = "CN=mx", **fields: Any) -> str:
    now_us = 1_800_000_000_000_000
    facts = TlsFacts(
        "TLSv1.3", "", True, "CN=mx", expires_at_us=now_us + int(days * DAY_US), expiring=expiring
    )
    return grade.expiry_warning(element(**fields), facts, now_us)


def test_a_certificate_is_warned_of_from_so_many_days_before_its_end() -> None:
    assert warning(15.5) == ""
    assert warning(14.5) == "the server's certificate expires in 14 days, on 2027-01-29"
    assert warning(1.5) == "the server's certificate expires in 1 day, on 2027-01-16"
    assert warning(-0.5) == "the server's certificate expired on 2027-01-14"
    assert warning(5, certificatewarndays=4) == ""
    assert warning(-5, certificatewarndays=0) == ""
    assert warning(3, "CN=authority") == (
        "the certificate CN=authority, which the server's hangs on, expires in 3 days, on 2027-01-18"
    )


def test_what_is_not_known_is_not_warned_of() -> None:
    assert grade.expiry_warning(element(), None, 0) == ""
    assert grade.expiry_warning(element(), TlsFacts("TLSv1.3", "", True), 0) == ""

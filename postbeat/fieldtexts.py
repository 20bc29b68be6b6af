"""What each field of an element takes, in words: what messages say, and docs/profile.md. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from postbeat.model import Kind

_SECRET_TEXT = "a text, {env: NAME} or {file: PATH}"  # noqa: S105
_TLS_TEXT = "TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3"
_LINE_TEXT = "a text of at most 200 characters in one line"
_REGION_TEXT = "a region or a list of different regions, each of at most 32 small letters, digits and -"
_SASL_TEXT = "PLAIN, LOGIN, CRAM-MD5, SCRAM-SHA-1, SCRAM-SHA-256, XOAUTH2"
_LEVEL_TEXT = "GOOD, MARGINAL or FAILED"
_EXPECT_TEXT = (
    "{stage: STAGE, status: CODE}, with greeting, ehlo, starttls, tls, auth, mail, rcpt, data or upload,"
    " and a code such as 550 or 5xx, or a list of them"
)
_NAME_TEXT = "a name of at most 64 letters, digits, '.', '_' and '-'"

# What one of several takes, where a field takes a list whose items have a grammar of their own.
EXPECTED_ITEM: Mapping[str, str] = {
    "servicelevels": "conditions and a level such as totalTime > 5 -> MARGINAL",
    "maintenance": "a window such as Sun 02:00-04:00",
}

EXPECTED: Mapping[str, str] = {
    "type": "smtp, imap4 or pop3",
    "name": _NAME_TEXT,
    "server": "a host name or an IP address",
    "description": _LINE_TEXT,
    "port": "a whole number from 1 to 65535",
    "address": "an IP address",
    "addressfamily": "ANY, IPv4 or IPv6",
    "sourceaddress": "an IP address",
    "active": "true or false",
    "securitytype": "NONE, SSL or STARTTLS",
    "username": _LINE_TEXT,
    "password": _SECRET_TEXT,
    "sharedsecret": _SECRET_TEXT,
    "token": _SECRET_TEXT,
    "tokenurl": "an address that begins with https://",
    "clientid": _LINE_TEXT,
    "clientsecret": _SECRET_TEXT,
    "refreshtoken": _SECRET_TEXT,
    "scope": _LINE_TEXT,
    "timeout": "seconds, more than 0 and at most 3600",
    "failureretests": "a whole number from 0 to 20",
    "retestinterval": "seconds from 0 to 3600",
    "tlsverify": "true or false",
    "tlscafile": "the path of a file in PEM",
    "tlsservername": "a host name or an IP address",
    "tlsminversion": _TLS_TEXT,
    "tlsmaxversion": _TLS_TEXT,
    "tlslegacy": "true or false",
    "ssldisabletls": "0 or 1, or false or true",
    "sslciphersuite": "ciphers as OpenSSL writes them, in at most 200 characters",
    "sslcertificatefile": "the path of a file in PEM",
    "sslkeyfile": "the path of a file in PEM",
    "sslkeypassword": _SECRET_TEXT,
    "certificatewarndays": "a whole number from 0 to 3650",
    "group": f"{_NAME_TEXT}, or an empty text",
    "servicelevels": f"{EXPECTED_ITEM['servicelevels']}, or a list of at most 32 of them",
    "quorum": "any, majority, all or a whole number from 1 to 99",
    "confirmpolls": "a whole number from 1 to 20",
    "availabilitytarget": "per cent, at least 50 and less than 100",
    "maintenance": f"{EXPECTED_ITEM['maintenance']}, or a list of at most 32 of them",
    "authenticationtype": f"NONE, {_SASL_TEXT} or OAUTHBEARER",
    "plaintextlogin": "true or false",
    "email": "a mailbox address such as probe@example.com",
    "poll": "seconds from 1 to 86400",
    "regions": _REGION_TEXT,
    "expect": _EXPECT_TEXT,
    "mx": "true or false",
    "lmtp": "true or false",
    "proxyprotocol": "0, 1 or 2",
    "read": "the name of an imap4 or pop3 element",
    "delivertimeout": "seconds, more than 0 and at most 3600",
    "losttimeout": "seconds, more than 0 and at most 604800",
    "sender": "a mailbox address, or an empty text for the null sender",
    "heloname": "a host name or an address in brackets",
    "originator": "a text of at most 64 characters in one line",
    "mailmessage": "the path of a text or a whole message of at most 1 MiB",
    "usebody": "0 or 1",
    "payload": "a whole number from 0 to 52428800",
    "dkimdomain": "a domain name in ASCII",
    "dkimselector": "the name of a selector",
    "dkimkeyfile": "the path of a private key in PEM",
    "authservids": "a name or a list of names",
    "alteredlevel": _LEVEL_TEXT,
    "duplicatelevel": _LEVEL_TEXT,
    "folder": "the name of a folder",
    "folders": "the name of a folder or a list of such names",
    "spamfolder": "the name of a folder, auto, or an empty text",
    "spamlevel": _LEVEL_TEXT,
    "movetofolder": "the name of a folder",
    "logininterval": "seconds from 0 to 3600",
}
_EXPECTED_OF_KIND: Mapping[tuple[Kind, str], str] = {
    (Kind.IMAP4, "authenticationtype"): f"STANDARD, {_SASL_TEXT} or OAUTHBEARER",
    (Kind.POP3, "authenticationtype"): f"STANDARD, {_SASL_TEXT}, OAUTHBEARER or APOP",
}


def expected(kind: Kind, key: str) -> str:
    """What a field of a kind takes, in words."""
    return _EXPECTED_OF_KIND.get((kind, key)) or EXPECTED[key]

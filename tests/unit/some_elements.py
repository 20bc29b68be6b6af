"""Elements of all kinds, with texts that are hard to write and to read back, as a profile's file has them."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from postbeat.ism.transfer.values import Plain

# Texts with all that parts and quotes somewhere.
SIGNS = st.sampled_from(
    [*"abz019 .,;:'\"[]{}()=+-@#\\/<>&%$*~!|", "ü", "ß", "é", "日", "😀", "\u2028", "\u00a0", "\u0301"]
)
lines = st.text(SIGNS, max_size=12)
words = st.text(SIGNS, min_size=1, max_size=12)
names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
servers = st.sampled_from(["mail.example.com", "mx.example.org", "192.0.2.1", "[192.0.2.7]", "=x", "h"])
emails = st.sampled_from(["probe@example.com", "other@example.com", "-x@example.org", "ü@example.com"])
seconds = st.integers(1, 3600) | st.floats(1, 3600)
secrets: st.SearchStrategy[Plain] = st.dictionaries(
    st.sampled_from(["env", "file"]), words, min_size=1, max_size=1
)
levels = st.sampled_from(["GOOD", "MARGINAL", "FAILED"])
region_names = st.sampled_from(["default", "eu", "us-1"])
regions = st.lists(region_names, min_size=1, max_size=3, unique=True)
windows = st.sampled_from(
    ["Sun 02:00-04:00", "daily 01:00-02:00 Europe/Berlin", "2026-12-01T02:00Z/2026-12-01T04:00Z"]
)


@st.composite
def rules(draw: st.DrawFn) -> str:
    text = draw(lines).replace("\\", "\\\\").replace('"', '\\"').replace("\u2028", "")
    level = draw(levels)
    return draw(
        st.sampled_from([f"totalTime > 0.5 -> {level}", f'message = "{text}" and lookupTime <= 3 -> {level}'])
    )


def some_of(parts: Mapping[str, st.SearchStrategy[Plain]]) -> st.SearchStrategy[dict[str, Plain]]:
    return st.fixed_dictionaries({}, optional=dict(parts))


COMMON: Mapping[str, st.SearchStrategy[Plain]] = {
    "description": lines,
    "port": st.integers(1, 65535),
    "address": st.just("192.0.2.25"),
    "addressfamily": st.sampled_from(["ANY", "IPv4"]),
    "sourceaddress": st.just("192.0.2.1"),
    "active": st.booleans(),
    "securitytype": st.sampled_from(["NONE", "SSL", "STARTTLS"]),
    "clientid": lines,
    "scope": lines,
    "timeout": seconds,
    "failureretests": st.integers(0, 20),
    "retestinterval": seconds,
    "tlsverify": st.booleans(),
    "tlscafile": lines,
    "tlsminversion": st.sampled_from(["TLSv1", "TLSv1.1", "TLSv1.2"]),
    "tlsmaxversion": st.sampled_from(["TLSv1.2", "TLSv1.3"]),
    "tlslegacy": st.booleans(),
    "ssldisabletls": st.integers(0, 1),
    "sslciphersuite": lines,
    "sslcertificatefile": words,
    "sslkeypassword": secrets,
    "certificatewarndays": st.integers(0, 99),
    "group": names,
    "quorum": st.sampled_from(["any", "majority", "all", 1]),
    "confirmpolls": st.integers(1, 20),
    "availabilitytarget": st.floats(50, 99.99),
    "maintenance": st.lists(windows, max_size=3),
    "poll": seconds,
    "regions": regions,
    "usebody": st.integers(0, 1),
}
OF_SMTP: Mapping[str, st.SearchStrategy[Plain]] = {
    "proxyprotocol": st.integers(0, 2),
    "losttimeout": st.integers(3600, 604800),
    "sender": st.just("") | emails,
    "heloname": st.sampled_from(["", "h.example.com", "[192.0.2.1]"]),
    "originator": lines,
    "mailmessage": lines,
    "payload": st.integers(0, 1000),
    "dkimkeyfile": st.just(""),
}
OF_MAILBOXES: Mapping[str, st.SearchStrategy[Plain]] = {
    "authservids": st.lists(st.text("abc.,;[]\"='", min_size=1, max_size=5), max_size=3),
    "alteredlevel": levels,
    "duplicatelevel": levels,
}
OF_IMAP4: Mapping[str, st.SearchStrategy[Plain]] = {
    "folders": st.lists(words.map(lambda word: f"{word}-"), max_size=3, unique=True),
    "spamfolder": st.sampled_from(["", "auto", '""', " Junk "]),
    "spamlevel": levels,
    "movetofolder": st.sampled_from(["", "Done", "[Done]"]),
}


@st.composite
def logins(draw: st.DrawFn, methods: list[str]) -> dict[str, Plain]:
    method = draw(st.sampled_from(methods))
    login: dict[str, Plain] = {"authenticationtype": method, "username": draw(words | emails)}
    if method in ("XOAUTH2", "OAUTHBEARER"):
        return login | {"token": draw(secrets)}
    takes = ["password", "sharedsecret"] if method in ("CRAM-MD5", "APOP") else ["password"]
    return login | {draw(st.sampled_from(takes)): draw(secrets)}


@st.composite
def smtp_elements(draw: st.DrawFn, name: str, mailboxes: list[str]) -> dict[str, Plain]:
    element: dict[str, Plain] = {"name": name, "type": "smtp", "server": draw(servers)}
    element |= draw(some_of({**COMMON, **OF_SMTP}))
    if draw(st.booleans()):
        element |= draw(logins(["PLAIN", "LOGIN", "CRAM-MD5", "SCRAM-SHA-256", "XOAUTH2"]))
        element["plaintextlogin"] = True
    if draw(st.sampled_from([True, True, False])):
        element["email"] = draw(emails)
        if mailboxes and draw(st.sampled_from(["read", "read", "send"])) == "read":
            element["read"] = draw(st.sampled_from(mailboxes))
        elif draw(st.booleans()):
            statuses: list[str] = draw(st.sampled_from([["5xx"], ["450", "550"]]))
            element["expect"] = {"stage": "rcpt", "status": statuses}
    if draw(st.booleans()):
        element["servicelevels"] = draw(st.lists(rules(), max_size=3))
    return element


@st.composite
def mailboxes_of(draw: st.DrawFn, name: str) -> dict[str, Plain]:
    kind = draw(st.sampled_from(["imap4", "pop3"]))
    element: dict[str, Plain] = {"name": name, "type": kind, "server": draw(servers)}
    own = OF_IMAP4 if kind == "imap4" else {"logininterval": st.integers(0, 3600)}
    element |= draw(some_of({**COMMON, **OF_MAILBOXES, **own}))
    if kind == "pop3" and "logininterval" in element:
        element["poll"] = 3600
    own_method = "APOP" if kind == "pop3" else "CRAM-MD5"
    element |= draw(logins(["STANDARD", "PLAIN", "SCRAM-SHA-1", "OAUTHBEARER", own_method]))
    if "poll" in element:
        element["servicelevels"] = draw(st.lists(rules(), max_size=3))
    return element


@st.composite
def profile_elements(draw: st.DrawFn) -> list[dict[str, Plain]]:
    """The elements of a profile, each a mapping. Few contradict themselves."""
    taken = draw(st.lists(names, min_size=2, max_size=5, unique=True))
    count = draw(st.sampled_from([1, 1, 2, 0, len(taken)]))
    boxes = [draw(mailboxes_of(name)) for name in taken[:count]]
    senders = [draw(smtp_elements(name, taken[:count])) for name in taken[count:]]
    return draw(st.permutations(boxes + senders))

"""Makes the text of a result short: a quarter of its size. Pure.

Results have much in common with each other, and little within themselves. So what they have in common is
known to both sides beforehand, and only the rest is compressed for each (RFC 1951).
"""

from __future__ import annotations

import zlib

_MARK = b"z"  # what a short text begins with, and no JSON does
_SIZE_LIMIT = 16 << 20  # bytes of the long text
# What most texts contain, the most common at the end. It never changes: with another one, what is stored
# cannot be read. A better one needs another mark.
_COMMON = (
    b'"fault":{"side":"LOCAL","side":"REMOTE","code":"timeout","message":"",'
    b'"stage":"connect"}"mailbox":{"messages":,"size_bytes":,'
    b'"folders":{"INBOX":}}"delivery":{"to_deliver_us":,"resolution_us":,"hop_count":,'
    b'"uncertainty_us":,"pushed":true,"folder":"INBOX","hops":[["","","ESMTPS",17,0],["","",'
    b'"ESMTP",17,null,0]],"verdicts":[["spf","pass","","smtp.mailfrom="],["dkim","pass",'
    b'"postbeat","header.d="],["dmarc","pass","","header.from="]],"server_skew_us":-,'
    b'"server_skew_uncertainty_us":},"outcome":"delivered"}"tls":{"version":"TLSv1.3",'
    b'"cipher":"TLS_AES_256_GCM_SHA384","verified":true,"subject":"CN=","issuer":"C=US,'
    b'O=Let\'s Encrypt,CN=","names":[""],"expires_at_us":18,"expiring":"CN=","whole_chain":true}}],'
    b'"service":[25,"STARTTLS","NONE","",""]"stages":[["lookup",,"",true],["connect",,'
    b'"127.0.0.1:",true],["greeting",,"220 ESMTP",true],["ehlo",,'
    b'"250 PIPELINING SIZE STARTTLS 8BITMIME AUTH PLAIN LOGIN CRAM-MD5 SMTPUTF8",true],'
    b'["starttls",,"220 2.0.0 Ready to start TLS",true],["tls",,"TLSv1.3",true],["auth",,'
    b'"235 2.7.0 Authentication successful",true],["mail",,"250 2.1.0 Ok",true],["rcpt",,'
    b'"250 2.1.5 Ok",true],["data",,"354 End data with <CR><LF>.<CR><LF>",true],["upload",,'
    b'"250 2.0.0 Ok: queued as ",true],["quit",,"221 2.0.0 Bye",true]],"accepted_at_us":1["login",'
    b',"Logged in",true],["capability",,"IMAP4REV1 IDLE NAMESPACE UIDPLUS",true],["select",,'
    b'"[READ-WRITE] Select completed (1 messages)",true],["find",,"",true],["fetch",,"",'
    b'true]{"poll":"@default#5","phase":"read","kind":"imap4","level":"FAILED","level":"GOOD",'
    b'"message":"Message Successfully Downloaded","at_us":1,"worker":"","attempts":[{"number":1,'
    b'"started_at_us":1,"total_us":,"times_us":{"lookupTime":,"connectTime":,"SSLHandshakeTime":,'
    b'"responseTime":,"loginTime":,"uploadTime":},"bytes":0,"status":null,"reply":"","status":250,'
    b'"reply":"250 2.0.0 Ok: queued as ","address":"lag_us":{"poll":"@default#5","phase":"send",'
    b'"kind":"smtp","level":"GOOD","message":"Message sent","at_us":1'
)


def shorten(text: str) -> bytes:
    """A short text for a long one."""
    deflater = zlib.compressobj(wbits=-15, zdict=_COMMON)
    return _MARK + deflater.compress(text.encode()) + deflater.flush()


def lengthened(short: str | bytes) -> bytes:
    """The long text of a short one; what is not short stays as it is.

    Args:
        short: as a client of Redis hands it over: as bytes, or as text with ``surrogateescape``.

    Raises:
        ValueError: it is damaged, or too long.
    """
    data = short.encode("utf-8", "surrogateescape") if isinstance(short, str) else short
    if not data.startswith(_MARK):
        return data
    inflater = zlib.decompressobj(wbits=-15, zdict=_COMMON)
    try:
        found = inflater.decompress(data.removeprefix(_MARK), _SIZE_LIMIT)
    except zlib.error as error:
        raise ValueError("a short text that is damaged") from error
    if not inflater.eof:
        raise ValueError("a short text that is cut off, or of one that is far too long")
    return found

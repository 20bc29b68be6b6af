"""Bounces in the shape of those that real servers write, and what each of them says."""

from __future__ import annotations

import base64
from textwrap import dedent

from postbeat.delivery import Bounce

TOKEN = "X-Postbeat: v=2; poll=probe@lab#17; attempt=1; sent=1; body=a; subject=b; sig=c"


def mail(text: str) -> bytes:
    return dedent(text).lstrip().replace("TOKEN", TOKEN).replace("\n", "\r\n").encode()


POSTFIX = mail("""
    Return-Path: <>
    Received: by mx.example.com (Postfix)
    \tid 4XyZ; Tue, 24 Nov 2026 10:00:01 +0000 (UTC)
    From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
    Subject: Undelivered Mail Returned to Sender
    To: probe@example.org
    Auto-Submitted: auto-replied
    MIME-Version: 1.0
    Content-Type: multipart/report; report-type=delivery-status;
    \tboundary="4XyZ.1795514401/mx.example.com"

    This is a MIME-encapsulated message.

    --4XyZ.1795514401/mx.example.com
    Content-Description: Notification
    Content-Type: text/plain; charset=utf-8

    This is the mail system at host mx.example.com.

    <gone@example.com>: host mail.example.com[192.0.2.7] said: 550 5.1.1 User unknown

    --4XyZ.1795514401/mx.example.com
    Content-Description: Delivery report
    Content-Type: message/delivery-status

    Reporting-MTA: dns; mx.example.com
    X-Postfix-Queue-ID: 4XyZ
    Arrival-Date: Tue, 24 Nov 2026 10:00:00 +0000 (UTC)

    Final-Recipient: rfc822; gone@example.com
    Original-Recipient: rfc822;moved@example.com
    Action: failed
    Status: 5.1.1
    Remote-MTA: dns; mail.example.com
    Diagnostic-Code: smtp; 550 5.1.1 <gone@example.com>: Recipient address
        rejected: User unknown

    --4XyZ.1795514401/mx.example.com
    Content-Description: Undelivered Message Headers
    Content-Type: text/rfc822-headers

    TOKEN
    Subject: a probe

    --4XyZ.1795514401/mx.example.com--
    """)

EXIM = mail("""
    Return-path: <>
    X-Failed-Recipients: gone@example.com
    Auto-Submitted: auto-replied
    From: Mail Delivery System <Mailer-Daemon@exim.example.com>
    Content-Type: multipart/report; report-type=delivery-status; boundary=1795514401-eximdsn-77
    Subject: Mail delivery failed: returning message to sender

    --1795514401-eximdsn-77
    Content-type: text/plain; charset=us-ascii

    A message that you sent was not delivered to one recipient:

      gone@example.com
        550 5.7.1 we do not want it

    --1795514401-eximdsn-77
    Content-type: message/delivery-status

    Reporting-MTA: dns; exim.example.com

    Action: failed
    Final-Recipient: rfc822;gone@example.com
    Status: 5.0.0
    Remote-MTA: dns; mail.example.com
    Diagnostic-Code: smtp; 550 5.7.1 we do not want it

    --1795514401-eximdsn-77
    Content-type: message/rfc822

    Return-path: <probe@example.org>
    TOKEN
    Subject: a probe

    the text
    --1795514401-eximdsn-77--
    """)

OLD_EXIM = mail("""
    Return-path: <>
    X-Failed-Recipients: gone@example.com, other@example.com
    Auto-Submitted: auto-replied
    From: Mail Delivery System <Mailer-Daemon@exim.example.com>
    Subject: Mail delivery failed: returning message to sender

    A message that you sent was not delivered. These addresses failed:

      gone@example.com
        host mail.example.com [192.0.2.7]:
        450 4.2.1 mailbox closed: retry timeout exceeded

    ------ The message that was sent ------

    Return-path: <probe@example.org>
    TOKEN
    Subject: 550 5.9.9 is not what the server says
    """)

SENDMAIL = mail("""
    From: Mail Delivery Subsystem <MAILER-DAEMON@relay.example.net>
    Content-Type: MULTIPART/REPORT; REPORT-TYPE=delivery-status;
     BOUNDARY="uAOA01.1795514401/relay.example.net"
    Subject: Returned mail: see transcript for details
    Auto-Submitted: auto-generated (failure)

    --uAOA01.1795514401/relay.example.net

    The original message was received at Tue, 24 Nov 2026 10:00:00 GMT

       ----- Transcript of session follows -----
    550 5.2.2 <full@example.com>... Mailbox is full

    --uAOA01.1795514401/relay.example.net
    Content-Type: Message/Delivery-Status

    REPORTING-MTA: DNS; relay.example.net
    Received-From-MTA: DNS; client.example.org
    Arrival-Date: Tue, 24 Nov 2026 10:00:00 GMT

    FINAL-RECIPIENT: RFC822; full@example.com
    ACTION: Failed
    STATUS: 5.2.2 (mailbox full)
    REMOTE-MTA: DNS; mail.example.com
    DIAGNOSTIC-CODE: SMTP; 552 5.2.2 Mailbox is full

    --uAOA01.1795514401/relay.example.net
    Content-Type: message/rfc822

    TOKEN

    --uAOA01.1795514401/relay.example.net--
    """)

QMAIL = mail("""
    Return-Path: <>
    Date: 24 Nov 2026 10:00:01 -0000
    From: MAILER-DAEMON@qmail.example.net
    To: probe@example.org
    Subject: failure notice

    Hi. This is the program at qmail.example.net. I could not deliver your message to
    this address. This is a permanent error; I have given up.

    <gone@example.com>:
    192.0.2.7 does not like recipient.
    Remote host said: 550 5.1.1 no mailbox of that name
    Giving up on 192.0.2.7.

    --- Below this line is a copy of the message.

    Return-Path: <probe@example.org>
    Received: (qmail 4242 invoked by uid 89); 24 Nov 2026 10:00:00 -0000
    TOKEN
    Subject: a probe
    """)

EXCHANGE = mail("""
    Return-Path: <>
    From: <postmaster@corp.example.com>
    Subject: Undeliverable: a probe
    MIME-Version: 1.0
    Content-Type: multipart/report; report-type=delivery-status;
    \tboundary="_000_4f1c_"
    Auto-Submitted: auto-replied

    --_000_4f1c_
    Content-Type: multipart/alternative; differences=Content-Type;
    \tboundary="_001_4f1c_"

    --_001_4f1c_
    Content-Type: text/plain; charset="us-ascii"
    Content-Transfer-Encoding: quoted-printable

    Your message to gone@example.com couldn't be delivered=2E

    --_001_4f1c_
    Content-Type: text/html; charset="us-ascii"

    <html><body><b>Your message could not be delivered.</b></body></html>

    --_001_4f1c_--

    --_000_4f1c_
    Content-Type: message/delivery-status

    Reporting-MTA: dns;AM0PR01.prod.example.com
    Received-From-MTA: dns;client.example.org
    Arrival-Date: Tue, 24 Nov 2026 10:00:00 +0000

    Final-Recipient: rfc822;gone@example.com
    Action: failed
    Status: 5.1.10
    Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient gone@example.com not found
    X-Display-Name: gone

    --_000_4f1c_
    Content-Type: message/rfc822

    Received: from client.example.org
    TOKEN

    a probe
    --_000_4f1c_--
    """)

OLD_EXCHANGE = mail("""
    Return-Path: <>
    From: System Administrator <postmaster@corp.example.com>
    Subject: Undeliverable: a probe
    Content-Type: multipart/mixed; boundary="----_=_NextPart_000_01C1"

    ------_=_NextPart_000_01C1
    Content-Type: text/plain

    Your message did not reach this recipient:

    gone@example.com on Tue, 24 Nov 2026 10:00:01 -0000
        The e-mail account does not exist at the organisation of this address.
        <mail.corp.example.com #5.1.1>

    ------_=_NextPart_000_01C1
    Content-Type: message/rfc822

    TOKEN
    Subject: a probe

    text
    ------_=_NextPart_000_01C1--
    """)

GMAIL = mail("""
    Return-Path: <>
    X-Failed-Recipients: gone@example.com
    Auto-Submitted: auto-replied
    From: Mail Delivery Subsystem <mailer-daemon@googlemail.example>
    Content-Type: multipart/report; boundary="0000000000004f1c"; report-type=delivery-status
    Subject: Delivery Status Notification (Failure)

    --0000000000004f1c
    Content-Type: multipart/related; boundary="0000000000004f1d"

    --0000000000004f1d
    Content-Type: text/plain; charset="UTF-8"
    Content-Transfer-Encoding: base64

    WW91ciBtZXNzYWdlIHdhcyBub3QgZGVsaXZlcmVkLg==
    --0000000000004f1d--
    --0000000000004f1c
    Content-Type: message/delivery-status

    Reporting-MTA: dns; googlemail.example
    Arrival-Date: Tue, 24 Nov 2026 02:00:00 -0800 (PST)

    Final-Recipient: rfc822; gone@example.com
    Action: failed
    Status: 5.1.1
    Remote-MTA: dns; mail.example.com. (192.0.2.7, the server for the domain example.com.)
    Diagnostic-Code: smtp; 550-5.1.1 The account does not exist.
     550 5.1.1 Please look at the address again. a1-2
    Last-Attempt-Date: Tue, 24 Nov 2026 02:00:01 -0800 (PST)

    --0000000000004f1c
    Content-Type: message/rfc822

    TOKEN
    Subject: a probe

    --0000000000004f1c--
    """)

DELAYED = mail("""
    Return-Path: <>
    From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
    Subject: Delayed Mail (still being retried)
    Content-Type: multipart/report; report-type=delivery-status; boundary=b1

    --b1
    Content-Type: text/plain

    Your message could not be delivered for more than 4 hour(s).
    --b1
    Content-Type: message/delivery-status

    Reporting-MTA: dns; mx.example.com

    Final-Recipient: rfc822; slow@example.com
    Action: delayed
    Status: 4.4.1
    Diagnostic-Code: X-Postfix; connect to mail.example.com[192.0.2.7]:25: Connection timed out
    Will-Retry-Until: Sun, 29 Nov 2026 10:00:00 +0000 (UTC)

    --b1
    Content-Type: text/rfc822-headers

    TOKEN
    --b1--
    """)

DELIVERED = mail("""
    Return-Path: <>
    From: MAILER-DAEMON@mx.example.com (Mail Delivery System)
    Subject: Successful Mail Delivery Report
    Content-Type: multipart/report; report-type=delivery-status; boundary=b1

    --b1
    Content-Type: message/delivery-status

    Reporting-MTA: dns; mx.example.com

    Final-Recipient: rfc822; there@example.com
    Action: delivered
    Status: 2.0.0
    Diagnostic-Code: smtp; 250 2.0.0 <there@example.com> Saved

    --b1
    Content-Type: text/rfc822-headers

    TOKEN
    --b1--
    """)

INTERNATIONAL = (
    mail("""
    Return-Path: <>
    From: MAILER-DAEMON@mx.example.com
    Content-Type: multipart/report; report-type=delivery-status; boundary=b1

    --b1
    Content-Type: message/global-delivery-status
    Content-Transfer-Encoding: base64

    """)
    + base64.encodebytes(
        mail(r"""
    Reporting-MTA: dns; mx.example.com

    Original-Recipient: utf-8; g\x{F6}ran@example.com
    Final-Recipient: utf-8; göran@example.com
    Action: failed
    Status: 5.1.1
    Diagnostic-Code: smtp; 550 5.1.1 göran ist unbekannt
    """)
    )
    + mail("""
    --b1
    Content-Type: message/global-headers
    Content-Transfer-Encoding: base64

    """)
    + base64.encodebytes(mail("TOKEN\nSubject: grüße\n"))
    + b"--b1--\r\n"
)

REJECTED = "550 5.1.1 <gone@example.com>: Recipient address rejected: User unknown"
BOUNCES: dict[str, tuple[bytes, Bounce]] = {
    "Postfix": (
        POSTFIX,
        Bounce("failed", "5.1.1", REJECTED, "moved@example.com", "mx.example.com", "mail.example.com"),
    ),
    "Exim": (
        EXIM,
        Bounce(
            "failed",
            "5.7.1",
            "550 5.7.1 we do not want it",
            "gone@example.com",
            "exim.example.com",
            "mail.example.com",
        ),
    ),
    "old Exim": (
        OLD_EXIM,
        Bounce("failed", "4.2.1", "450 4.2.1 mailbox closed: retry timeout exceeded", "gone@example.com"),
    ),
    "sendmail": (
        SENDMAIL,
        Bounce(
            "failed",
            "5.2.2",
            "552 5.2.2 Mailbox is full",
            "full@example.com",
            "relay.example.net",
            "mail.example.com",
        ),
    ),
    "qmail": (
        QMAIL,
        Bounce("failed", "5.1.1", "Remote host said: 550 5.1.1 no mailbox of that name", "gone@example.com"),
    ),
    "Exchange": (
        EXCHANGE,
        Bounce(
            "failed",
            "5.1.10",
            "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient gone@example.com not found",
            "gone@example.com",
            "AM0PR01.prod.example.com",
        ),
    ),
    "old Exchange": (OLD_EXCHANGE, Bounce("failed", "5.1.1", "<mail.corp.example.com #5.1.1>")),
    "Gmail": (
        GMAIL,
        Bounce(
            "failed",
            "5.1.1",
            "550-5.1.1 The account does not exist. 550 5.1.1 Please look at the address again. a1-2",
            "gone@example.com",
            "googlemail.example",
            "mail.example.com. (192.0.2.7, the server for the domain example.com.)",
        ),
    ),
    "delayed": (
        DELAYED,
        Bounce(
            "delayed",
            "4.4.1",
            "connect to mail.example.com[192.0.2.7]:25: Connection timed out",
            "slow@example.com",
            "mx.example.com",
        ),
    ),
    "delivered": (
        DELIVERED,
        Bounce(
            "delivered",
            "2.0.0",
            "250 2.0.0 <there@example.com> Saved",
            "there@example.com",
            "mx.example.com",
        ),
    ),
    "international": (
        INTERNATIONAL,
        Bounce("failed", "5.1.1", "550 5.1.1 göran ist unbekannt", "göran@example.com", "mx.example.com"),
    ),
}

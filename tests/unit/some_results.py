"""Results as workers record them, for tests of how they are put together and shown."""

from __future__ import annotations

from dataclasses import replace

from postbeat.delivery import Bounce, Delivery, Hop, MailboxFacts, Outcome, Tally, Verdict
from postbeat.model import Kind, Level, LoginType, Phase, Poll, SecurityType
from postbeat.results import Attempt, Result, Service

POLL = Poll("mail", "eu", 7)
AT_US = 1_700_000_000_000_000

SENT = Result(POLL, Phase.SEND, Kind.SMTP, Level.GOOD, "Message sent", AT_US, (Attempt(1, AT_US, 90_000),))

DELIVERY = Delivery(
    1_500_000,
    40_000,
    3,
    uncertainty_us=700,
    pushed=True,
    folder="INBOX",
    hops=(
        Hop("mx.example.com", "probe.example.net", "ESMTPS", AT_US, None, 0),
        Hop("store.example.com", "mx.example.com", "LMTP", AT_US + 2_000_000, 2_000_000, 500_000),
        Hop("odd.example.com"),
    ),
    verdicts=(Verdict("spf", "pass", "mx.example.com"), Verdict("dkim", "fail", "postbeat", "d=example.com")),
    server_skew_us=-250_000,
    server_skew_uncertainty_us=500_000,
)

READ = Result(
    POLL,
    Phase.READ,
    Kind.IMAP4,
    Level.GOOD,
    "Message Successfully Downloaded",
    AT_US + 1_500_000,
    (Attempt(1, AT_US, 12_000),),
    delivery=DELIVERY,
    outcome=Outcome.DELIVERED,
)
OVERDUE = replace(
    READ,
    level=Level.FAILED,
    message="The message did not arrive within 60 s",
    delivery=None,
    outcome=Outcome.OVERDUE,
)
BOUNCED = replace(
    OVERDUE,
    message="The message bounced: 550 5.1.1 no such user",
    outcome=Outcome.BOUNCED,
    bounce=Bounce("failed", "5.1.1", "550 5.1.1 no such user", reported_by="mx.example.com"),
)
LATE = replace(
    READ,
    phase=Phase.AFTER,
    level=Level.MARGINAL,
    message="The message arrived late, after 90 s; it was given up before",
    at_us=AT_US + 90_000_000,
    outcome=Outcome.LATE,
)
COPY = replace(
    LATE, message="The message arrived once more", delivery=None, outcome=Outcome.DUPLICATED, attempts=()
)

CHECK = Result(
    Poll("box", "eu", 3),
    Phase.CHECK,
    Kind.IMAP4,
    Level.GOOD,
    "3 messages downloaded; 12 in the mailbox",
    AT_US,
    (Attempt(1, AT_US, 250_000, times_us={"connectTime": 10_000, "loginTime": 30_000}),),
    service=Service(993, SecurityType.SSL, LoginType.STANDARD, "probe"),
    mailbox=MailboxFacts(12, 34_567, 40_000, 10_000_000, {"INBOX": 12}, {Tally.FOUND: 3}),
)

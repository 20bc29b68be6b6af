"""A site to look at: its profile, and results recorded as workers record them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from redis import Redis

from postbeat import codec
from postbeat.delivery import Delivery, Hop, Outcome, Verdict
from postbeat.elements import Imap4Element, Pop3Element, SmtpElement
from postbeat.model import Fault, FaultCode, Kind, Level, LoginType, Phase, Poll, Secret, SecurityType, Side
from postbeat.profile import Profile
from postbeat.results import Attempt, Result, Service, Stage, TlsFacts
from postbeat.store.beat import BeatStore
from postbeat.store.wake import wake_text
from postbeat.store.worker import WorkerStore

T = TypeVar("T")

CANARY = "canary-5d1e07b2"  # a password; it must be seen nowhere
DAY_US = 86_400_000_000
REGIONS = ("eu", "us", "asia")

BOX = Imap4Element(
    name="box",
    server="imap.example.com",
    username="probe",
    password=Secret("literal", f"{CANARY}-box"),
    regions=("eu",),
)
MAIL = SmtpElement(
    name="mail",
    server="smtp.example.com",
    email="probe@example.com",
    username="probe",
    password=Secret("literal", f"{CANARY}-mail"),
    description="Outgoing mail",
    group="office",
    regions=REGIONS,
    poll=60,
    read="box",
)
POP = Pop3Element(
    name="pop", server="pop.example.com", username="probe", group="office", poll=60, regions=("eu", "us")
)
HOSTILE = '<script>alert("x")</script>'

STAGES = (
    Stage("lookup", 0, 1_200),
    Stage("connect", 1_200, 9_000),
    Stage("greeting", 10_200, 12_000, "220 smtp.example.com ready"),
    Stage("tls", 22_200, 30_000),
    Stage("data", 52_200, 8_000, "354 go ahead"),
    Stage("upload", 60_200, 25_000, "250 2.0.0 queued as 4711"),
)
TLS = TlsFacts(
    "TLSv1.3",
    "TLS_AES_256_GCM_SHA384",
    True,
    "CN=smtp.example.com",
    "CN=An Issuer",
    ("smtp.example.com",),
    2_000_000_000_000_000,
)
TIMES = {
    "lookupTime": 1_200,
    "connectTime": 9_000,
    "SSLHandshakeTime": 30_000,
    "responseTime": 41_000,
    "uploadTime": 25_000,
}


def now_us() -> int:
    return time.time_ns() // 1000


@contextmanager
def _loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass(frozen=True)
class Filling:
    """What beat and the workers do to a Redis, by hand.

    The worker's loop has a thread of its own: Playwright has one running in that of the tests.
    """

    loop: asyncio.AbstractEventLoop
    worker: WorkerStore
    beat: BeatStore
    redis: Redis
    profile: Profile

    @classmethod
    @contextmanager
    def open(cls, url: str, *elements: SmtpElement | Imap4Element | Pop3Element) -> Iterator[Filling]:
        profile = Profile({one.name: one for one in elements or (MAIL, BOX, POP)})
        with _loop() as loop, Redis.from_url(url, decode_responses=True) as client:
            filling = cls(loop, WorkerStore(url, "eu-1"), BeatStore(url), client, profile)
            filling.beat.expect(profile, now_us())
            filling.beat.publish_profile(profile)
            try:
                yield filling
            finally:
                filling.run(filling.worker.close())
                filling.beat.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(20):
                return await coroutine

        return asyncio.run_coroutine_threadsafe(bounded(), self.loop).result(30)

    def send(
        self,
        region: str,
        slot: int,
        level: Level = Level.GOOD,
        *,
        element: SmtpElement = MAIL,
        message: str = "",
        at_us: int | None = None,
    ) -> None:
        """Records a send; one that is FAILED was refused at its authentication."""
        at_us = at_us or now_us()
        fault = None
        stages: tuple[Stage, ...] = STAGES
        if level is not Level.GOOD:
            side = Side.REMOTE if level is Level.FAILED else Side.LOCAL
            fault = Fault(side, FaultCode.AUTH, message or "535 5.7.8 authentication failed", "auth")
            stages = (
                *STAGES[:3],
                Stage("auth", 22_200, 50_000, message or "535 5.7.8 authentication failed", False),
            )
        attempt = Attempt(
            1,
            at_us,
            90_000,
            stages,
            {} if fault else TIMES,
            status=535 if fault else 250,
            reply="535 5.7.8 authentication failed" if fault else "250 2.0.0 queued as 4711",
            address="192.0.2.1:587",
            tls=TLS,
            fault=fault,
            accepted_at_us=None if fault else at_us,
        )
        result = Result(
            Poll(element.name, region, slot),
            Phase.SEND,
            Kind.SMTP,
            level,
            fault.message if fault else "Message sent",
            at_us,
            (attempt,),
            fault,
            worker=f"{region}-1",
            service=element.service,
        )
        mailbox = BOX.mailbox if element.read else ""
        wake = wake_text("eu", BOX.mailbox, codec.encode_element(BOX))
        self.run(self.worker.record_send(element, result, mailbox, wake))

    def read(
        self,
        region: str,
        slot: int,
        *,
        element: SmtpElement = MAIL,
        took_us: int = 1_500_000,
        fault: Fault | None = None,
    ) -> None:
        """Records that the message of a send was found, or why the mailbox could not be read."""
        at_us = now_us()
        delivery = Delivery(
            took_us,
            40_000,
            2,
            folder="INBOX",
            hops=(
                Hop("mx.example.com", "probe.example.net", "ESMTPS", at_us - took_us, None, 0),
                Hop("store.example.com", "mx.example.com", "LMTP", at_us, took_us, 500_000),
            ),
            verdicts=(Verdict("spf", "pass", "mx.example.com"),),
        )
        attempt = Attempt(1, at_us, 12_000, (Stage("login", 0, 3_000, "OK logged in"),), fault=fault)
        result = Result(
            Poll(element.name, region, slot),
            Phase.READ,
            Kind.IMAP4,
            Level.FAILED if fault else Level.GOOD,
            fault.message if fault else "Message Successfully Downloaded",
            at_us,
            (attempt,),
            fault,
            delivery=None if fault else delivery,
            worker="eu-1",
            outcome=Outcome.UNREADABLE if fault else Outcome.DELIVERED,
        )
        desk = self.run(self.worker.desk(BOX.mailbox))
        assert desk is not None
        self.run(desk.record(result))
        self.run(desk.release(force=True))

    def round_trip(self, region: str, slot: int) -> None:
        self.send(region, slot)
        self.read(region, slot)

    def check(self, region: str, slot: int, level: Level = Level.GOOD) -> None:
        at_us = now_us()
        ours = Fault(Side.LOCAL, FaultCode.RESOURCES, "too many open files", "connect")
        fault = None if level is Level.GOOD else ours
        result = Result(
            Poll("pop", region, slot),
            Phase.CHECK,
            Kind.POP3,
            level,
            fault.message if fault else "3 messages",
            at_us,
            (Attempt(1, at_us, 30_000, times_us={} if fault else {"loginTime": 9_000}, fault=fault),),
            fault,
            service=Service(110, SecurityType.NONE, LoginType.STANDARD, "probe"),
        )
        self.run(self.worker.record_check(POP, result))

    def usual(self) -> None:
        """Mail goes from two regions and is refused in the third; of pop there is news from one only."""
        for slot in (1, 2):
            self.round_trip("eu", slot)
            self.round_trip("us", slot)
            self.send("asia", slot, Level.FAILED)
        self.check("eu", 1)

"""Regions see a service differently: who disagrees, and where it stops, is told; the verdict is the quorum's.

Each region has a name server and a line of its own. To all of them the mail server has one name, which leads
each to its own line, as a name does that is served from several places; a line can be cut.
"""

from __future__ import annotations

import socketserver
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.message
import dns.rrset
import pytest

from postbeat.model import Level, Phase
from postbeat.results import VerdictEvent
from postbeat.verdict import Verdict
from tests.e2e.running import Running
from tests.listening import Way, serving
from tests.mailservers import MailServers

pytestmark = pytest.mark.mailservers

REGIONS = ("asia", "eu", "us")
HOST = "mail.regions.test"  # element mail: two regions of three must fail, at their first failed poll
DAMPED = "damped.regions.test"  # element damped: one region is enough, after two failed polls
POLL_S = 2


class Line:
    """A region's way to the mail server: an address on which it is reached, at the server's own port."""

    def __init__(self, address: str, port: int) -> None:
        self._place = (address, port)
        self._ways = ExitStack()
        self.mend()

    def mend(self) -> None:
        self._way = self._ways.enter_context(serving(Way(self._place, self._place[1])))

    def cut(self) -> None:
        """Nobody gets through any more: connections are refused."""
        self._ways.close()

    def drop(self, count: int) -> None:
        """The next so many connections are closed at once."""
        self._way.to_drop = count


@contextmanager
def name_server(addresses: Mapping[str, str]) -> Iterator[str]:
    """Where a name server answers that knows these names alone (RFC 1035)."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            data, sock = self.request
            with suppress(dns.exception.DNSException):
                query = dns.message.from_wire(data)
                question, answer = query.question[0], dns.message.make_response(query)
                found = addresses.get(question.name.to_text(omit_final_dot=True))
                if found and question.rdtype == dns.rdatatype.A:
                    answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", found))
                sock.sendto(answer.to_wire(), self.client_address)

    with serving(socketserver.UDPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"127.0.0.1:{server.server_address[1]}"


@dataclass
class Site:
    """A site, and each region's lines to the two elements' server."""

    running: Running
    mail: Mapping[str, Line]
    damped: Mapping[str, Line]

    @classmethod
    @contextmanager
    def open(cls, servers: MailServers, running: Running) -> Iterator[Site]:
        port = servers.ports["smtp"]
        with ExitStack() as ends:
            site = cls(running, {}, {})
            lines: list[dict[str, Line]] = [{}, {}]
            for number, region in enumerate(REGIONS):
                addresses = {HOST: f"127.0.1.{number + 1}", DAMPED: f"127.0.2.{number + 1}"}
                for found, address in zip(lines, addresses.values(), strict=True):
                    found[region] = Line(address, port)
                    ends.callback(found[region].cut)
                resolver = ends.enter_context(name_server(addresses))
                running.celery(
                    f"worker-{region}",
                    *("worker", "-l", "info", "-n", f"{region}@%h", "--without-gossip", "--without-mingle"),
                    POSTBEAT_REGION=region,
                    POSTBEAT_RESOLVER=resolver,
                )
            site.mail, site.damped = lines
            yield site

    def told(self, element: str = "mail") -> dict[str, Any]:
        """What ``postbeat status --verdicts`` says of an element."""
        (told,) = self.running.command("status", "--verdicts", "--element", element)
        assert isinstance(told, dict)
        return told

    def changes(self, element: str) -> list[VerdictEvent]:
        events = self.running.view.events(1000, lambda _: True)
        return [one for one in events if isinstance(one, VerdictEvent) and one.element == element]

    def until(self, element: str, verdict: Verdict) -> None:
        def stands() -> bool:
            return any(
                one.element == element and one.verdict is verdict and set(one.regions) == set(REGIONS)
                for one in self.running.view.verdicts()
            )

        self.running.until(stands, f"verdict {verdict} on {element}")

    def until_all_good(self, element: str) -> None:
        """Until every region has found the service good, one by one."""

        def good() -> bool:
            pairs = [one for one in self.running.view.overview() if one.pair.element == element]
            return len(pairs) == len(REGIONS) and all(one.confirmed is Level.GOOD for one in pairs)

        self.running.until(good, f"good level of {element} in every region")

    def sent(self, region: str) -> list[Level]:
        """The levels of what element damped sent from a region, the oldest first."""
        found = self.running.results("damped", Phase.SEND)
        return [one.level for one in found if one.poll.region == region]

    def until_good_after_failed(self, region: str) -> None:
        def back() -> bool:
            return Level.FAILED in self.sent(region) and self.sent(region)[-1] is Level.GOOD

        self.running.until(back, f"good send from {region} after a failed one")


@dataclass(frozen=True)
class Seen:
    """What was told while one line was cut, while two were, and after; and the changes of verdicts."""

    one_cut: dict[str, Any]
    two_cut: dict[str, Any]
    mended: dict[str, Any]
    changes: list[VerdictEvent]
    damped: list[VerdictEvent]
    dropped: list[Level]


@pytest.fixture(scope="module")
def seen(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    account = servers.account()
    common: dict[str, Any] = {"regions": list(REGIONS), "poll": POLL_S}
    elements = [
        servers.mailbox("imap4", "box", account),
        servers.smtp("mail", account, server=HOST, read="box", delivertimeout=20, **common),
        servers.smtp("damped", account, server=DAMPED, quorum="any", confirmpolls=2, **common),
    ]
    with Running.open(tmp_path_factory.mktemp("regions")) as running, Site.open(servers, running) as site:
        running.site.beat(running.profile(*elements))
        site.until_all_good("mail")
        site.until_all_good("damped")
        site.mail["eu"].cut()
        site.damped["us"].drop(1)
        site.until("mail", Verdict.DEGRADED)
        one_cut = site.told()
        site.mail["asia"].cut()
        site.until_good_after_failed("us")
        site.damped["us"].drop(2)
        site.until("mail", Verdict.FAILED)
        two_cut = site.told()
        for region in ("eu", "asia"):
            site.mail[region].mend()
        site.until("damped", Verdict.FAILED)
        site.until_all_good("mail")
        site.until_all_good("damped")
        yield Seen(
            one_cut,
            two_cut,
            site.told(),
            site.changes("mail"),
            site.changes("damped"),
            site.sent("us"),
        )


def verdicts(changes: list[VerdictEvent]) -> list[Verdict]:
    return [change.verdict for change in changes]


def disagreeing(told: dict[str, Any]) -> list[str]:
    return [region for region, one in told["regions"].items() if one["disagrees"]]


def test_one_region_that_does_not_get_through_degrades_the_element_and_is_named(seen: Seen) -> None:
    assert seen.one_cut["verdict"] == Verdict.DEGRADED
    assert disagreeing(seen.one_cut) == ["eu"]
    eu = seen.one_cut["regions"]["eu"]
    assert (eu["level"], eu["phase"], eu["stage"], eu["code"]) == ("FAILED", "send", "connect", "refused")
    assert eu["message"].startswith("The connection was refused while connecting to 127.0.1.2:")


def test_two_of_three_fail_it_and_then_the_third_disagrees(seen: Seen) -> None:
    assert seen.two_cut["verdict"] == Verdict.FAILED
    assert disagreeing(seen.two_cut) == ["us"]
    assert [seen.two_cut["regions"][region]["stage"] for region in ("asia", "eu")] == ["connect", "connect"]


def test_all_agree_again_after_the_lines_are_mended(seen: Seen) -> None:
    assert seen.mended["verdict"] == Verdict.GOOD
    assert disagreeing(seen.mended) == []
    assert {one["confirmed"] for one in seen.mended["regions"].values()} == {"GOOD"}


def test_the_events_of_the_verdict_are_exactly_its_changes(seen: Seen) -> None:
    expected = [Verdict.GOOD, Verdict.DEGRADED, Verdict.FAILED, Verdict.DEGRADED, Verdict.GOOD]
    assert verdicts(seen.changes) == expected
    assert [change.was for change in seen.changes] == [Verdict.UNKNOWN, *expected[:-1]]
    _, degraded, failed, _, good = seen.changes
    assert (degraded.poll.region, degraded.regions["eu"]) == ("eu", Level.FAILED)
    assert failed.poll.region == "asia"
    assert set(good.regions.values()) == {Level.GOOD}


def test_a_single_failed_poll_is_damped_and_two_in_a_row_are_not(seen: Seen) -> None:
    failed = [number for number, level in enumerate(seen.dropped) if level is Level.FAILED]
    once, first, second = failed
    assert second == first + 1 > once + 2
    assert verdicts(seen.damped) == [Verdict.GOOD, Verdict.FAILED, Verdict.GOOD]
    assert seen.damped[1].poll.region == "us"

"""A mailbox that cannot be read says so wherever it is looked for."""

from __future__ import annotations

from dataclasses import replace

from postbeat.model import Fault, FaultCode, Level, Side
from postbeat.store.records import Noted
from postbeat.web.settings import WebSettings
from tests.web.filling import BOX, MAIL, Filling
from tests.web.serving import served

REFUSED = Fault(Side.REMOTE, FaultCode.REFUSED, "Nobody listens there", "connect")


def test_a_mailbox_that_cannot_be_read_says_why_where_it_is_looked_for(redis_url: str) -> None:
    idle = replace(MAIL, name="idle", read=None, active=False)
    with Filling.open(redis_url, MAIL, BOX, idle) as filling:
        filling.send("eu", 1)
        desk = filling.run(filling.worker.desk(BOX.mailbox))
        assert desk is not None
        filling.run(desk.note({"looks": 1}, Noted(0, 0, REFUSED)))
    with served(WebSettings(redis_url=redis_url)) as client:
        said = "The last look failed: Nobody listens there (stage <b>connect</b>, refused)"
        boxes, box = client.get("/mailboxes").text, client.get("/elements/box").text
        assert (said in boxes, said in box) == (True, True)
        assert '<td class="n">never</td>' in boxes
        assert ("Never read;" in box, "looked into" in box) == (True, False)
        assert 'It is read for <a href="/elements/mail">mail</a>, and not polled itself' in box
        (data,) = client.get("/api/v1/mailboxes").data["items"]
        assert (data["lastLook"], data["fault"]["code"], data["fault"]["stage"]) == (
            None,
            "refused",
            "connect",
        )
        unpolled = client.get("/elements/idle").text
        assert "It is not active: nobody polls it, so there is no verdict." in unpolled
        assert "every" not in unpolled


def test_a_fault_of_the_read_is_told_from_one_of_the_send(redis_url: str) -> None:
    with Filling.open(redis_url) as filling:
        filling.send("eu", 1)
        filling.read("eu", 1, fault=REFUSED)
        filling.send("us", 1, Level.FAILED)
    with served(WebSettings(redis_url=redis_url)) as client:
        assert "read, <b>connect</b>: Nobody listens there" in client.get("/").text
        assert "fault of the read in stage <b>connect</b>: refused" in client.get("/elements/mail/eu").text
        assert "fault in stage <b>auth</b>: auth" in client.get("/elements/mail/us").text

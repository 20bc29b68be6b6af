"""What cannot be read is missing, and takes nothing else with it."""

from __future__ import annotations

import time

import pytest

from postbeat.store.view import ViewStore
from postbeat.web.settings import WebSettings
from tests.web.filling import Filling
from tests.web.serving import Client, served


def test_an_element_whose_rollups_are_damaged_has_no_figures_and_all_others_have_theirs(
    redis_url: str,
) -> None:
    with Filling.open(redis_url) as filling:
        filling.usual()
        filling.redis.hset("postbeat:rollup:pop@eu", mapping={"hours": "garbage", "days": "garbage"})
    with served(WebSettings(redis_url=redis_url, public_groups=("office",))) as client:
        for place in ("/elements/pop", "/elements/mail", "/status/office", "/api/v1/elements/pop"):
            assert client.get(place).status == 200, place
        month = time.strftime("%Y-%m", time.gmtime())
        report = client.get(f"/api/v1/report?month={month}")
        assert {row["element"]: row["objective"]["polls"] for row in report.data["elements"]} == {
            "mail": 6,
            "pop": 0,
        }


@pytest.fixture
def broken(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def mailboxes(_view: ViewStore) -> None:
        raise KeyError("a defect of ours")

    monkeypatch.setattr(ViewStore, "mailboxes", mailboxes)


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/mailboxes", "text/html"),
        ("/mailboxes?fragment=1", "text/plain"),
        ("/api/v1/mailboxes", "application/problem+json"),
    ],
)
@pytest.mark.usefixtures("broken")
def test_a_defect_of_ours_is_said_as_each_can_read_it(redis_url: str, place: str, kind: str) -> None:
    with served(WebSettings(redis_url=redis_url)) as client:
        answer = Client(client.port).get(place)
    assert answer.status == 500
    assert answer.headers["content-type"].startswith(kind)
    assert "the log says what" in answer.text
    assert "a defect of ours" not in answer.text

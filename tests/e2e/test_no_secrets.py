"""Secrets stand in files and in the environment, and are seen nowhere else.

Not in Redis, logs, tasks or Flower; not on a page, in an answer of the API, in metrics or in what a command
prints; not in a webhook or a mail.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from postbeat.model import Phase
from postbeat.store import keys
from tests.e2e import looking
from tests.e2e.running import Running
from tests.mailservers import CERTIFIED, KEY_PASSWORD, Account, MailServers
from tests.ports import free_port

pytestmark = pytest.mark.mailservers

WRONG = "canary-of-a-wrong-password"
SHARED = "canary-of-a-shared-secret"
TOKEN = "canary-of-a-token"
ACCESS = "canary-of-an-access-token"
CLIENT = "canary-of-a-client-secret"
REFRESH = "canary-of-a-refresh-token"
HOOK = "canary-of-a-webhook-signature"
HEADER = "canary-of-a-webhook-header"
ADDRESS = "canary-of-a-webhook-address"
LOGIN = "canary-of-a-login-at-the-page"
SESSION = "canary-of-what-sessions-are-signed-with"


def elements(servers: MailServers, account: Account, token_url: str) -> list[dict[str, Any]]:
    """Every field that may hold a secret, every login, and logins that go wrong."""
    common: dict[str, Any] = {"read": "imap", "poll": 2, "regions": "lab", "delivertimeout": 20}
    certified = {
        "port": servers.ports[CERTIFIED],
        "authenticationtype": "NONE",
    } | servers.client_certificate()
    with_token = common | {"authenticationtype": "XOAUTH2", "password": None}
    fetched = with_token | {"tokenurl": token_url, "clientid": "probe"}
    return [
        servers.mailbox("imap4", "imap", account, "STARTTLS"),
        servers.mailbox("pop3", "pop", account, "SSL", authenticationtype="PLAIN"),
        servers.mailbox("pop3", "shut", account, password=WRONG),
        servers.smtp("plain", account, group="office", **common),
        servers.smtp("cram", account, authenticationtype="CRAM-MD5", **common),
        servers.smtp("certified", account, "STARTTLS", **common | certified),
        servers.smtp("over-pop", account, **common | {"read": "pop"}),
        servers.smtp("wrong", account, password=WRONG, **common),
        servers.smtp("shared", account, authenticationtype="CRAM-MD5", sharedsecret=SHARED, **common),
        servers.smtp("unread", account, **common | {"read": "shut"}),
        servers.smtp("token", account, "STARTTLS", token=TOKEN, **with_token),
        servers.smtp("client", account, "STARTTLS", clientsecret=CLIENT, **fetched),
        servers.smtp("refresh", account, "STARTTLS", refreshtoken=REFRESH, **fetched),
    ]


def sinks(servers: MailServers, receiver: looking.Receiver, account: Account, printed: Path) -> list[Any]:
    """Sinks of every type with every secret; one's receiver refuses, another's is not there."""
    relay = {"server": "127.0.0.1", "port": servers.ports["smtp"], "securitytype": "STARTTLS"}
    login = {"username": account.name, "password": account.password}
    people = {"to": account.address, "sender": "postbeat@example.test"}
    signed = {"secret": HOOK, "headers": {"Authorization": HEADER}}
    return [
        {"name": "hook", "type": "webhook", "url": f"{receiver.url}/{ADDRESS}", **signed},
        {"name": "refused", "type": "webhook", "url": f"{receiver.url}/refused/{ADDRESS}", **signed},
        {"name": "away", "type": "webhook", "url": f"http://127.0.0.1:{free_port()}/{ADDRESS}", **signed},
        {"name": "chat", "type": "slack", "url": f"{receiver.url}/{ADDRESS}"},
        {"name": "alerts", "type": "alertmanager", "url": f"http://me:{ADDRESS}@127.0.0.1:{free_port()}"},
        {"name": "mail", "type": "email", **people, "relays": [relay | login]},
        {"name": "script", "type": "command", "command": ["/bin/sh", "-c", f"(env; cat) >> {printed}"]},
    ]


class Wiretap:
    """Everything that anybody says to Redis, as the MONITOR command shows it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._socket = socket.create_connection((parts.hostname, parts.port))
        self._socket.sendall(f"AUTH {parts.password}\r\nMONITOR\r\n".encode())
        self._heard = bytearray()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while data := self._socket.recv(65536):
            self._heard += data

    def heard(self) -> str:
        """Ends the tap; all that was said."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        return self._heard.decode(errors="replace")


@contextmanager
def flower(running: Running) -> Iterator[str]:
    """The URL of a Flower that watches the site."""
    port = free_port()
    options = ["--address=127.0.0.1", f"--port={port}", "--logging=debug"]
    running.celery("flower", "flower", *options, FLOWER_UNAUTHENTICATED_API="true")
    url = f"http://127.0.0.1:{port}"
    running.until(lambda: _get(f"{url}/api/workers") is not None, "answer of Flower")
    yield url


def _get(url: str) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return json.load(response)
    except OSError:
        return None


@dataclass(frozen=True)
class Seen:
    """What an attacker would look at; ``secrets`` is what must not be in it, by its name."""

    secrets: dict[str, str]
    places: dict[str, str]
    tasks: list[dict[str, Any]]
    workers: dict[str, Any]


@pytest.fixture(scope="module")
def seen(servers: MailServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    account, people = servers.account(), servers.account()
    with ExitStack() as ends:
        running = ends.enter_context(Running.open(tmp_path_factory.mktemp("secrets")))
        receiver = ends.enter_context(looking.Receiver.open(ACCESS))
        printed = running.site.folder / "printed"
        profile = running.profile(*elements(servers, account, f"{receiver.url}/token"))
        looking.notify(running, sinks(servers, receiver, people, printed), servers.root / "tls" / "ca.pem")
        tap = Wiretap(running.site.redis_url)
        running.site.beat(profile)
        page = ends.enter_context(looking.web(running, LOGIN, SESSION))
        url = ends.enter_context(flower(running))
        running.until(lambda: len(running.queued("probe.lab")) >= 20, "polls in the queue")
        waiting = dump(running)
        running.celery("lab", "worker", "-l", "debug", "-n", "lab@%h", POSTBEAT_REGION="lab")
        for name in ("plain", "cram", "certified", "over-pop", "unread"):
            running.result(name, Phase.READ)
        for name in ("wrong", "shared", "token", "client", "refresh"):
            running.result(name)
        running.until(lambda: {"smtp.send", "mailbox.read"} <= _task_names(url), "both tasks in Flower")
        running.until(lambda: servers.messages(people), "mail to people")
        running.until(lambda: running.redis.xlen(keys.sink_dead("refused")), "letter that is kept")
        tasks = running.until(lambda: _get(f"{url}/api/tasks?limit=1000"), "tasks from Flower")
        workers = running.until(lambda: _get(f"{url}/api/workers?refresh=1"), "workers from Flower")
        shown = {
            "the page of an operator": looking.pages(page, "otto"),
            "the page of a viewer": looking.pages(page, "vera"),
            "what is probed now": looking.probes(page, ["plain", "wrong", "client", "certified"]),
            "the API": looking.api(page, ["plain", "wrong", "client", "imap"]),
            "the commands": looking.commands(running),
        }
        places = {
            "the queue while no worker runs": waiting,
            "Redis": dump(running),
            "what is kept packed in Redis": unpacked(running),
            "what was said to Redis": tap.heard(),
            "the logs": running.logs(),
            "Flower's tasks": json.dumps(tasks),
            "Flower's workers": json.dumps(workers),
            "the results": "\n".join(map(repr, running.results())),
            "the webhooks": "\n".join(receiver.bodies),
            "the mails": "\n".join(map(looking.readable, servers.messages(people))),
            "what a command is told": printed.read_text(),
        }
        secrets = {
            "the password": account.password,
            "the wrong password": WRONG,
            "the shared secret": SHARED,
            "the password of the key": KEY_PASSWORD,
            "the token": TOKEN,
            "the access token": ACCESS,
            "the client's secret": CLIENT,
            "the refresh token": REFRESH,
            "the site's key": running.site.key,
            "the signature's secret": HOOK,
            "the webhook's header": HEADER,
            "the webhook's address": ADDRESS,
            "the relay's password": people.password,
            "the password of the page": LOGIN,
            "the secret of sessions": SESSION,
            "the API token": page.token,
        }
        yield Seen(secrets, shown | places, list(tasks.values()), workers)


def _task_names(url: str) -> set[str]:
    return {task["name"] for task in (_get(f"{url}/api/tasks?limit=1000") or {}).values()}


def dump(running: Running) -> str:
    """All keys of Redis with all that they hold, whatever their type."""
    redis: Any = running.redis
    readers = {
        "string": redis.get,
        "list": lambda key: redis.lrange(key, 0, -1),
        "set": redis.smembers,
        "hash": redis.hgetall,
        "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        "stream": redis.xrange,
        "none": lambda key: None,  # it expired just now
    }
    return "\n".join(f"{key} {readers[redis.type(key)](key)!r}" for key in redis.scan_iter())


def unpacked(running: Running) -> str:
    """The results that Redis keeps, which are not to be read in a dump."""
    view, states = running.view, running.view.states()
    kept = [[state.round_trip, *view.notable(state.pair)] for state in states]
    return f"{kept!r}\n{view.events(1000, lambda _: True)!r}"


def disguises(secret: str) -> set[str]:
    """A secret as it is, and in Base64 at each of the three places where it may begin."""
    found = {secret}
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + secret.encode()).decode().rstrip("=")
        found.add(text[4 if shift else 0 : -2])
    return found


PLACES = (
    "the queue while no worker runs",
    "Redis",
    "what is kept packed in Redis",
    "what was said to Redis",
    "the logs",
    "Flower's tasks",
    "Flower's workers",
    "the results",
    "the page of an operator",
    "the page of a viewer",
    "what is probed now",
    "the API",
    "the commands",
    "the webhooks",
    "the mails",
    "what a command is told",
)


@pytest.mark.parametrize("place", PLACES)
def test_no_secret_is_seen(seen: Seen, place: str) -> None:
    text = seen.places[place]
    assert len(text) > 500
    shown = [name for name, secret in seen.secrets.items() if any(form in text for form in disguises(secret))]
    assert not shown


REFUSED = "The server refused the login"
HOLDS = {
    "what is kept packed in Redis": (REFUSED, "VerdictEvent"),
    "the page of an operator": (
        "otto (operator)",
        "Announce maintenance",
        REFUSED,
        "/elements/plain?range=30d ",
    ),
    "the page of a viewer": ("vera (viewer)", "/mailboxes ", "/regions ", "/status/office ", REFUSED),
    "what is probed now": (REFUSED, "354 ", "POST /api/v1/probe 200"),
    "the API": ('"openapi"', REFUSED, "event: change", "event: result", "# EOF", "postbeat_level", "201"),
    "the commands": (REFUSED, '"regions"', "<html", "404"),
    "the webhooks": ('"kind": "verdict"', '"kind": "level"', REFUSED, '"text"'),
    "the mails": ("FAILED", REFUSED),
    "what a command is told": ("POSTBEAT_LEVEL=FAILED", REFUSED),
}


@pytest.mark.parametrize("place", HOLDS)
def test_what_was_looked_at_holds_what_it_is_for(seen: Seen, place: str) -> None:
    assert [text for text in HOLDS[place] if text not in seen.places[place]] == []


def test_a_secret_would_be_recognised_in_every_disguise() -> None:
    login = base64.b64encode(b"\0probe1\0canary-1234567").decode()
    assert any(form in login for form in disguises("canary-1234567"))
    assert any(form in "password=canary-1234567" for form in disguises("canary-1234567"))


def test_the_queue_holds_the_polls_with_their_secrets_sealed(seen: Seen) -> None:
    bodies = [
        base64.b64decode(text.partition('"')[0]) for text in seen.places[PLACES[0]].split('"body": "')[1:]
    ]
    assert any(b"sealed" in body for body in bodies)
    assert not any(secret.encode() in body for body in bodies for secret in seen.secrets.values())


def test_flower_shows_the_workers_and_both_tasks_by_their_polls(seen: Seen) -> None:
    assert [name.partition("@")[0] for name in seen.workers] == ["lab"]
    sends = [task for task in seen.tasks if task["name"] == "smtp.send"]
    # Polls that had expired before the worker came are revoked: Celery tells Flower their ids alone.
    assert {task["state"] for task in seen.tasks} <= {"RECEIVED", "STARTED", "SUCCESS", "REVOKED"}
    assert sends
    assert all(task["args"] == f"('{task['uuid']}',)" and "@lab#" in task["uuid"] for task in sends)

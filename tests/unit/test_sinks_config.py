"""The file of sinks: what is right is taken, and all that is wrong is said at once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st

from postbeat.cli import main
from postbeat.model import Secret, SecurityType
from postbeat.profile import ProfileError
from postbeat.sinks import loading
from postbeat.sinks.addresses import Target, shown, target_of, web_address
from postbeat.sinks.config import (
    SINK_TYPES,
    AlertmanagerSink,
    AnySink,
    CommandSink,
    EmailSink,
    Relay,
    SlackSink,
    WebhookSink,
    warnings_of,
)
from postbeat.sinks.loading import load
from postbeat.sinks.notice import EventKind
from postbeat.sinks.sinktexts import EXPECTED

EXAMPLE = Path(__file__).parents[2] / "deploy" / "examples" / "sinks.yaml"
BAD = Path(__file__).parents[1] / "sinks" / "bad"
CANARY = "canary-3c99"


def written(folder: Path, text: str) -> Path:
    path = folder / "sinks.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ProfileError) as caught:
        load(written(folder, text))
    return [str(fault).removeprefix(f"{folder}/") for fault in caught.value.faults]


def test_the_example_loads_with_what_it_leaves_out() -> None:
    events, mail, chat, alerts, log = load(EXAMPLE)
    assert isinstance(events, WebhookSink)
    assert events.secret == Secret("file", "/etc/postbeat/webhook.secret")
    assert (set(events.kinds), "GOOD" in events.levels) == (set(EventKind) - {EventKind.ALERT}, True)
    assert (events.timeout, events.retryfirst, events.retrylongest, events.giveup) == (10, 1, 300, 86400)
    assert isinstance(mail, EmailSink)
    assert mail.kinds == (EventKind.VERDICT,)
    assert mail.relays == (
        Relay(
            server="relay.example.net",
            port=587,
            securitytype=SecurityType.STARTTLS,
            username="postbeat",
            password=Secret("env", "RELAY_PASSWORD"),
        ),
        Relay(server="mail.example.com"),
    )
    assert isinstance(chat, SlackSink)
    assert (chat.groups, "GOOD" in chat.levels) == (("head-office",), False)
    assert isinstance(alerts, AlertmanagerSink)
    assert (alerts.labels, alerts.kinds) == ({"team": "mail"}, (EventKind.VERDICT,))
    assert isinstance(log, CommandSink)
    assert log.regions == ("eu-*",)


@pytest.mark.parametrize("name", ["faults", "contradictions", "alerts"])
def test_all_that_is_wrong_is_said_at_once_with_its_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(ProfileError) as caught:
        load(Path(f"{name}.yaml"))
    assert str(caught.value) == Path(f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "sinks.yaml:1: expected a mapping with the key sinks"),
        ("sinks: []", "sinks.yaml:1: sinks: expected a list of 1 to 100 sinks"),
        ("sinks:\n\t- a", None),
        ("#" * (2 << 20), "sinks.yaml:1: larger than 1048576 bytes"),
    ],
)
def test_a_file_without_sinks_is_refused(tmp_path: Path, text: str, fault: str | None) -> None:
    found = faults(tmp_path, text)
    assert len(found) == 1
    assert fault is None or found == [fault]


def test_no_message_shows_a_secret(tmp_path: Path) -> None:
    text = "".join((BAD / f"{name}.yaml").read_text() for name in ("faults", "contradictions"))
    assert text.count(CANARY) == 4
    assert "3141592653" in text
    shown = "".join(path.read_text() for path in BAD.glob("*.txt"))
    assert CANARY not in shown
    assert "3141592653" not in shown
    relay = f"{{server: mx.example.com, password: {CANARY}}}"
    mail = "name: mail, type: email, to: a@example.com, sender: a@example.com"
    too_many = faults(tmp_path, f"sinks: [{{{mail}, relays: [{', '.join([relay] * 11)}]}}]")
    assert too_many == [f"sinks.yaml:1: sinks[0].relays: expected {EXPECTED['relays']}"]


def test_every_key_is_described() -> None:
    keys = {name for kind in SINK_TYPES.values() for name in kind.__dataclass_fields__}
    relays = {f"relays.{name}" for name in Relay.__dataclass_fields__}
    assert keys | relays | {"type", "jsonlines.to"} == set(EXPECTED)


def test_only_scheme_host_and_port_of_an_address_are_shown() -> None:
    assert shown("https://me:canary@Example.com:8443/T0/canary?key=canary#x") == "https://example.com:8443"
    assert shown("http://[::1]/x") == "http://[::1]"


@pytest.mark.parametrize(
    "text",
    [
        "http://h:canary/",
        "http://[canary/",
        "http://h/ canary",
        "ftp://canary",
        "canary",
        "http://can\u2100ary/",
    ],
)
def test_what_is_no_address_is_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not an address that begins with http:// or https://$"):
        web_address(text)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/var/log/events.jsonl", Target(path=Path("/var/log/events.jsonl"))),
        ("unix:/run/collector.sock", Target(socket="/run/collector.sock")),
        ("tcp://collector.example.com:5044", Target(host="collector.example.com", port=5044)),
        ("tcp://[::1]:5044", Target(host="::1", port=5044)),
    ],
)
def test_lines_go_to_a_file_or_a_socket(text: str, target: Target) -> None:
    assert target_of(text) == target
    assert str(target) == text


@given(st.text(max_size=30) | st.builds("{}{}".format, st.sampled_from(["tcp://", "unix:/", "/"]), st.text()))
@example("/.")
@example("/./")
def test_any_text_is_a_target_that_reads_back_or_none(text: str) -> None:
    try:
        target = target_of(text)
    except ValueError:
        return
    assert target_of(str(target)) == target


def sinks_to(folder: Path, *files: Path) -> tuple[AnySink, ...]:
    """A sink for each of these files, named as the file is."""
    text = "".join(f"  - {{name: {it.stem}, type: jsonlines, to: {it}}}\n" for it in files)
    return load(written(folder, f"sinks:\n{text}"))


def test_a_folder_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    there, missing, below = (tmp_path / it for it in ("a.jsonl", "later/b.jsonl", "file/c.jsonl"))
    (tmp_path / "file").touch()
    warnings = [it for sink in sinks_to(tmp_path, there, missing, below) for it in warnings_of(sink)]
    assert warnings == [
        f"b: to: there is no folder {missing.parent}",
        f"c: to: {below.parent} is not a folder",
    ]


def test_what_is_there_and_no_file_is_a_warning(tmp_path: Path) -> None:
    folder, pipe, link, file = (tmp_path / it for it in ("folder", "pipe", "link", "file"))
    folder.mkdir()
    os.mkfifo(pipe)
    file.touch()
    link.symlink_to(file)
    sinks = sinks_to(tmp_path, folder, pipe, link, Path("/dev/zero"))
    assert [it for sink in sinks for it in warnings_of(sink)] == [
        f"folder: to: {folder} is not a file",
        f"pipe: to: {pipe} is not a file",
        "zero: to: /dev/zero is not a file",
    ]


@contextmanager
def as_somebody_without_rights() -> Iterator[None]:
    """Where root runs the tests, whom no permission stops, this process is another user."""
    if os.getuid():
        yield
        return
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def test_a_file_that_this_user_may_not_write_to_is_a_warning() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        names = ("closed/deep/a.jsonl", "full/b.jsonl", "full/c.jsonl", "full/d.jsonl", "open/e.jsonl")
        hidden, new, old, given, anew = files = [folder / it for it in names]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
        for file, mode in ((old, 0o444), (given, 0o666)):
            file.touch()
            file.chmod(mode)
        for place, mode in ((".", 0o755), ("closed", 0), ("full", 0o555), (anew.parent, 0o777)):
            (folder / place).chmod(mode)
        sinks = sinks_to(folder, *files)
        with as_somebody_without_rights():
            warnings = [it for sink in sinks for it in warnings_of(sink)]
        for place in ("closed", "full"):
            (folder / place).chmod(0o700)
    assert warnings == [
        f"a: to: this user may not enter {hidden.parent}",
        f"b: to: this user may not write to {new.parent}",
        f"c: to: this user may not write to {old}",
    ]


def test_check_says_what_is_wrong_or_may_not_be_meant(tmp_path: Path) -> None:
    run = CliRunner().invoke
    good = run(main, ["notify", str(EXAMPLE), "--check"], env={"RELAY_PASSWORD": None})
    assert good.exit_code == 0
    assert "5 sinks" in good.output
    assert (
        "postmasters: relays[0].password: the environment variable RELAY_PASSWORD is not set" in good.output
    )
    bad = run(main, ["notify", str(written(tmp_path, "sinks: 1")), "--check"])
    assert bad.exit_code == 1
    assert "sinks.yaml:1: sinks: expected a list" in bad.output
    absent = run(main, ["notify", "nowhere.yaml", "--check"])
    assert (absent.exit_code, absent.output) == (2, "there is no file nowhere.yaml\n")
    for words in ([], ["dead"], ["dead", "x", "--check"], [str(EXAMPLE), "--drop"], ["a", "b", "c"]):
        assert run(main, ["notify", *words]).exit_code == 2


def test_a_file_may_hold_so_many_sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SINKS_LIMIT", 1)
    one = "  - {name: a, type: slack, url: 'https://example.com'}\n"
    assert len(load(written(tmp_path, "sinks:\n" + one))) == 1
    assert faults(tmp_path, "sinks:\n" + one * 2) == ["sinks.yaml:1: sinks: expected a list of 1 to 1 sinks"]

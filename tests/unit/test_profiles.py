from __future__ import annotations

import errno
import json
import os
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from postbeat import codec, yamllines
from postbeat.elements import ELEMENT_TYPES, Element, Imap4Element, Pop3Element, SmtpElement
from postbeat.model import AuthenticationType, Kind, LoginType, Secret, SecurityType, TlsVersion
from postbeat.profile import Profile, ProfileError, fingerprint, load
from postbeat.publicfacts import mailbox_digest, public_facts
from postbeat.secrets import Keys, resolve
from postbeat.windows import Window

PROFILES = Path(__file__).parents[1] / "profiles"
GOOD = PROFILES / "good"
BAD = PROFILES / "bad"
BAD_NAMES = sorted(path.name for path in BAD.iterdir() if path.suffix != ".txt")


def written(folder: Path, text: str, name: str = "profile.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(path: Path) -> str:
    with pytest.raises(ProfileError) as caught:
        load(path)
    return str(caught.value)


def one(name: str, element: str) -> SmtpElement:
    found = load(GOOD / name).elements[element]
    assert isinstance(found, SmtpElement)
    return found


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_profile_gives_exactly_its_messages(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    monkeypatch.setattr(yamllines, "NODE_LIMIT", 10_000)  # the bomb would take seconds to reach the real one
    expected = Path(name).with_suffix(".txt").read_text(encoding="utf-8")
    assert faults_of(Path(name)) == expected.rstrip("\n")


def test_every_list_of_messages_has_its_profile() -> None:
    assert {path.stem for path in BAD.glob("*.txt")} == {Path(name).stem for name in BAD_NAMES}


def test_no_message_shows_a_secret() -> None:
    assert "hunter2" in (BAD / "secrets.yaml").read_text(encoding="utf-8")
    assert "20241231" in (BAD / "secrets.yaml").read_text(encoding="utf-8")
    faults = faults_of(BAD / "secrets.yaml")
    assert "hunter2" not in faults
    assert "20241231" not in faults


@pytest.mark.parametrize("path", sorted(GOOD.iterdir()), ids=lambda path: path.name)
def test_what_travels_is_the_same_element(path: Path) -> None:
    for element in load(path).elements.values():
        assert codec.decode_element(codec.encode_element(element)) == element


def test_the_smallest_element_has_the_defaults_of_the_reference() -> None:
    mail = one("minimal.yaml", "mail")
    assert (mail.port, mail.securitytype, mail.authenticationtype) == (25, "NONE", "NONE")
    assert (mail.timeout, mail.poll, mail.failureretests, mail.retestinterval) == (30, 300, 0, 10)
    assert mail.tlsverify
    assert mail.regions == ("default",)


def test_every_field_of_an_smtp_element_is_taken() -> None:
    assert one("full.yaml", "submission") == SmtpElement(
        name="submission",
        server="mail.example.com",
        description="Submission of the head office",
        port=587,
        active=False,
        securitytype=SecurityType.STARTTLS,
        username="probe@example.com",
        password=Secret("literal", "correct-horse"),
        sharedsecret=Secret("literal", "battery-staple"),
        token=Secret("file", "/run/postbeat/token"),
        tokenurl="https://login.example.com/token",
        clientid="postbeat",
        clientsecret=Secret("env", "CLIENT_SECRET"),
        refreshtoken=Secret("literal", "horse-battery"),
        scope="mail.send",
        timeout=12.5,
        failureretests=3,
        retestinterval=0,
        tlsverify=False,
        tlscafile="/etc/postbeat/ca.pem",
        sslcertificatefile="/etc/postbeat/client.pem",
        sslkeyfile="/etc/postbeat/client.key",
        sslkeypassword=Secret("file", "/etc/postbeat/client.password"),
        authenticationtype=AuthenticationType.CRAM_MD5,
        plaintextlogin=True,
        email="probe@example.com",
        poll=60,
        regions=("east",),
        read="inbox",
        delivertimeout=90,
        losttimeout=86400,
    )


def test_every_field_of_transport_security_is_taken() -> None:
    old, oldest, strict = load(GOOD / "tls.yaml").elements.values()
    assert (old.tls_lowest, old.tlsmaxversion, old.ssldisabletls) == (TlsVersion.V1_1, TlsVersion.V1_3, 1)
    assert (old.sslciphersuite, old.certificatewarndays) == ("RC4:3DES:DES:+EXP", 0)
    assert (oldest.tls_lowest, oldest.tlsmaxversion) == (TlsVersion.V1, TlsVersion.V1)
    assert (strict.tls_lowest, strict.tls_name) == (TlsVersion.V1_3, "mx.example.com")
    assert strict.certificatewarndays == 30


def test_every_field_of_what_is_made_of_results_is_taken() -> None:
    shop, drop, inbox = load(GOOD / "levels.yaml").elements.values()
    assert [str(level) for level in shop.servicelevels] == [
        "status = 451 -> MARGINAL",
        "responseTime > 2.5 and responseTime <= 10 -> MARGINAL",
        "responseTime > 10 -> FAILED",
        'message contains "try again: later" -> MARGINAL',
    ]
    assert [str(level) for level in drop.servicelevels] == ["totalTime > 5 -> MARGINAL"]
    assert [str(window) for window in shop.maintenance] == [
        "Sun 02:00-04:00",
        "Mon-Fri 22:00-06:00 Europe/Berlin",
        "2026-12-01T02:00Z/2026-12-01T04:00:30+01:00",
    ]
    assert drop.maintenance == (Window.parse("daily 02:00-02:30"),)
    assert (shop.group, shop.quorum, shop.confirmpolls, shop.availabilitytarget) == (
        "head-office",
        2,
        3,
        99.95,
    )
    assert (drop.group, drop.quorum, inbox.quorum) == ("", "all", 3)
    assert (inbox.servicelevels, inbox.confirmpolls, inbox.availabilitytarget) == ((), 1, 99.9)


def test_every_field_of_a_mailbox_is_taken() -> None:
    elements = load(GOOD / "full.yaml").elements
    imap4, pop3 = elements["inbox"], elements["maildrop"]
    assert isinstance(imap4, Imap4Element)
    assert isinstance(pop3, Pop3Element)
    assert (imap4.server, imap4.port, imap4.folder) == ("2001:db8::25", 993, "Tests/Postbeat")
    assert (imap4.folders, imap4.spamfolder, imap4.movetofolder) == (
        ("Lists", "Archive"),
        "Junk E-mail",
        "Done",
    )
    assert (imap4.spamlevel, imap4.alteredlevel, imap4.duplicatelevel) == ("FAILED", "FAILED", "GOOD")
    assert (imap4.poll, imap4.regions, imap4.usebody) == (120, ("west",), 1)
    assert imap4.authservids == ("mx.example.com", "example.com")
    assert (imap4.authenticationtype, imap4.password) == (LoginType.PLAIN, Secret("env", "MAIL_PASSWORD"))
    assert imap4.sharedsecret == Secret("file", "/etc/postbeat/shared")
    assert (pop3.server, pop3.port, pop3.authenticationtype) == ("192.0.2.110", 995, LoginType.APOP)
    assert (pop3.failureretests, pop3.retestinterval) == (20, 3600)
    assert (pop3.poll, pop3.regions, pop3.usebody, pop3.logininterval) == (3600, ("east",), 0, 60)
    assert (pop3.authservids, pop3.alteredlevel, pop3.duplicatelevel) == (
        ("mx.example.com",),
        "GOOD",
        "FAILED",
    )


def test_a_mailbox_that_is_only_read_is_no_pair_and_any_other_is_polled() -> None:
    polled: dict[str, list[str]] = {}
    for pair, element in load(GOOD / "mailboxes.yaml").active():
        if not isinstance(element, SmtpElement):
            polled.setdefault(f"{pair.element} {element.poll:g}", []).append(pair.region)
    assert polled == {
        "both 60": ["north"],
        "alone 300": ["north"],
        "elsewhere 300": ["south", "north"],
        "rarely 900": ["north"],
    }


def test_a_mailbox_that_is_not_active_is_still_read() -> None:
    loaded = load(GOOD / "mailboxes.yaml")
    sender = loaded.elements["c"]
    assert isinstance(sender, SmtpElement)
    assert loaded.reader_of(sender) == loaded.elements["off"]


def test_a_polled_mailbox_without_regions_is_polled_from_where_its_messages_are_sent(tmp_path: Path) -> None:
    reading = "type: smtp, server: h, email: a@b, read: box"
    path = written(
        tmp_path,
        f"""
elements:
  - {{name: one, {reading}, regions: [east, west]}}
  - {{name: two, {reading}, regions: [west, north]}}
  - {{name: box, type: imap4, server: h, username: u, password: p, poll: 60}}
  - {{name: alone, type: imap4, server: h, username: v, password: p}}
""",
    )
    elements = load(path).elements
    assert elements["box"].regions == ("east", "west", "north")
    assert elements["alone"].regions == ("default",)


def test_regions_of_a_file_are_those_of_elements_that_name_none() -> None:
    pairs = [str(pair) for pair, _ in load(GOOD / "regions.yaml").active()]
    assert pairs == ["here@no", "elsewhere@eu-1", "elsewhere@eu-2", "there@on"]


def test_regions_of_a_file_do_not_reach_into_the_next_file() -> None:
    pairs = sorted(str(pair) for pair, _ in load(GOOD / "folder").active())
    assert pairs == ["bounces@default", "mail@north"]


def test_a_folder_is_one_profile_of_its_yaml_files() -> None:
    loaded = load(GOOD / "folder")
    assert set(loaded.elements) == {"mail", "inbox", "bounces"}
    reader = loaded.reader_of(next(element for element in loaded.smtp if element.read))
    assert reader is not None
    assert reader.name == "inbox"


def test_an_own_key_wins_over_a_merged_one_on_either_side() -> None:
    ports = {name: element.port for name, element in load(GOOD / "aliases.yaml").elements.items()}
    assert ports == {"first": 587, "second": 465, "third": 2525, "other": 25}
    assert one("aliases.yaml", "third").securitytype is SecurityType.STARTTLS
    assert one("aliases.yaml", "other").regions == ("eu", "us")


def test_an_inactive_element_is_no_pair() -> None:
    loaded = load(GOOD / "full.yaml")
    assert [element.name for element in loaded.smtp] == ["submission"]
    assert [str(pair) for pair, _ in loaded.active()] == ["inbox@west", "maildrop@east"]


def test_elements_on_one_mailbox_share_its_identity_and_folders_do_not() -> None:
    box = Imap4Element(name="a", server="h", username="u")
    same = Imap4Element(name="b", server="h", username="u", timeout=5, folders=("Lists",), poll=60)
    other = Imap4Element(name="c", server="h", username="u", folder="Spam")
    assert box.mailbox == same.mailbox
    assert len({box.mailbox, other.mailbox, Pop3Element(name="d", server="h", username="u").mailbox}) == 3


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    assert (
        faults_of(tmp_path / "none.yaml")
        == f"{tmp_path}/none.yaml:1: cannot read it: No such file or directory"
    )


def test_faults_of_all_files_come_together_in_the_order_of_files_and_lines(tmp_path: Path) -> None:
    written(tmp_path, "elements: none\n", "b.yaml")
    written(tmp_path, "elements:\n- {name: mail, type: smtp, server: h, port: 0}\n", "a.yml")
    found = [line.split(": ")[0] for line in faults_of(tmp_path).splitlines()]
    assert found == [f"{tmp_path}/a.yml:2", f"{tmp_path}/b.yaml:1"]


def test_a_chain_of_merges_is_bounded(tmp_path: Path) -> None:
    chain = [f"- &a{i} {{<<: *a{i - 1}, name: n{i}}}" for i in range(1, 1000)]
    text = "\n".join(["elements:", "- &a0 {name: n0, type: smtp, server: h}", *chain])
    assert "nested too deeply" in faults_of(written(tmp_path, text))


def test_a_fingerprint_changes_with_what_the_files_hold(tmp_path: Path) -> None:
    first = written(tmp_path, "elements: []\n")
    marks = [fingerprint(tmp_path)]
    assert fingerprint(tmp_path) == marks[0]
    first.write_text("elements: [1]\n", encoding="utf-8")
    marks.append(fingerprint(tmp_path))
    second = written(tmp_path, "elements: []\n", "more.yaml")
    marks.append(fingerprint(tmp_path))
    second.rename(tmp_path / "renamed.yaml")
    marks.append(fingerprint(tmp_path))
    assert len(set(marks)) == 4


def test_a_fingerprint_changes_with_a_file_of_the_same_size_and_time(tmp_path: Path) -> None:
    path = written(tmp_path, "elements: [1]\n")
    before, known = fingerprint(path), path.stat()
    other = written(tmp_path, "elements: [2]\n", "other.yaml")
    os.utime(other, ns=(known.st_atime_ns, known.st_mtime_ns))
    other.replace(path)
    assert path.stat().st_mtime_ns == known.st_mtime_ns
    assert fingerprint(path) != before


def test_a_folder_that_cannot_be_read_any_more_is_a_fault_and_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    written(tmp_path, "elements: []\n")
    before = fingerprint(tmp_path)
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert faults_of(tmp_path) == f"{tmp_path}:1: cannot read it: Permission denied"
    assert fingerprint(tmp_path) == () != before


def test_a_path_that_cannot_be_looked_at_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 300)
    assert faults_of(path) == f"{path}:1: cannot read it: File name too long"
    assert fingerprint(path) == ()


def test_a_sealed_profile_holds_no_literal_secret_and_the_same_values() -> None:
    keys = Keys.new()
    loaded = load(GOOD / "full.yaml")
    sealed = loaded.sealed(keys)
    assert loaded.has_literal_secrets()
    assert not sealed.has_literal_secrets()
    assert resolve(sealed.elements["submission"].password, keys) == "correct-horse"
    assert sealed.elements["inbox"] == loaded.elements["inbox"]
    travelling = "".join(codec.encode_element(element) for element in sealed.elements.values())
    assert "correct-horse" not in travelling
    assert "battery-staple" not in travelling


def test_public_facts_are_those_that_are_named_and_no_others() -> None:
    shop, drop, _ = load(GOOD / "levels.yaml").elements.values()
    assert public_facts(shop) == {
        "name": "shop",
        "type": "smtp",
        "server": "mail.example.com",
        "port": 25,
        "description": "",
        "group": "head-office",
        "regions": ["eu", "us", "asia"],
        "poll": 300,
        "read": "",
        "email": "probe@example.com",
        "quorum": 2,
        "confirmpolls": 3,
        "availabilitytarget": 99.95,
        "maintenance": [str(window) for window in shop.maintenance],
        "servicelevels": [str(level) for level in shop.servicelevels],
        "active": True,
        "mailbox": "",
    }
    assert public_facts(drop).keys() == public_facts(shop).keys()
    pairs = load(GOOD / "pairs.yaml").elements
    assert public_facts(pairs["a"])["read"] == "by-imap4"
    box = public_facts(pairs["by-imap4"])
    assert (box["poll"], box["read"]) == (None, "")
    imap4 = pairs["by-imap4"]
    assert isinstance(imap4, Imap4Element)
    assert box["mailbox"] == mailbox_digest(imap4.mailbox) != ""


@pytest.mark.parametrize("kind", Kind)
def test_public_facts_hold_no_secret_no_login_and_no_path(kind: Kind) -> None:
    shown = {"name", "server", "description", "group", "folder"}
    canary: dict[str, Any] = {
        field.name: "canary"
        for field in fields(ELEMENT_TYPES[kind])
        if field.default == "" and field.name not in shown
    }
    canary |= {name: Secret("literal", "canary") for name in Element.SECRETS}
    element = ELEMENT_TYPES[kind](name="n", server="h", tokenurl="https://canary/", **canary)
    assert {"username", "clientid", "tlscafile", "password"} < canary.keys()
    facts = json.dumps(public_facts(element))
    assert "canary" not in facts


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"type": "ftp"}', '{"type": "smtp"}', '{"type": "smtp", "x": 1}']
)
def test_what_did_not_travel_from_us_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.decode_element(text)


def test_a_profile_shows_no_secret_in_its_repr() -> None:
    loaded: Profile = load(GOOD / "full.yaml")
    assert "correct-horse" not in repr(loaded)
    assert "battery-staple" not in str(loaded)

"""``postbeat monitor`` and ``nco_m_smtp``: one monitor in the foreground, with its files and its signals."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from postbeat.cli.monitor import heeded, nco_m_imap4, nco_m_pop3, nco_m_smtp
from postbeat.embedded.mail import MailServer
from postbeat.ism import monitoring
from postbeat.ism.monitoring import Plan, Signals
from postbeat.model import Kind
from tests.cli.conftest import Run, command, environment, profile_text
from tests.cli.test_demo import wait_until

ALIASES = {Kind.SMTP: nco_m_smtp, Kind.IMAP4: nco_m_imap4, Kind.POP3: nco_m_pop3}
GRACE_S = 40


def alias(kind: Kind, *words: str | Path) -> tuple[int, str]:
    """The exit code of an alias that ends at once, and what it printed."""
    done = CliRunner(env=dict.fromkeys(("POSTBEAT_REDIS_URL", "POSTBEAT_KEY", "POSTBEAT_PROFILE"))).invoke(
        ALIASES[kind], [*map(str, words)], prog_name=f"nco_m_{kind}"
    )
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@dataclass
class Monitor:
    """A monitor that runs."""

    process: subprocess.Popen[str]
    home: Path

    @property
    def log(self) -> str:
        found = self.home / "log" / "smtp.log"
        return found.read_text() if found.exists() else ""

    @property
    def told(self) -> str:
        return (self.home / "told").read_text()

    def until_logged(self, pattern: str) -> None:
        wait_until(lambda: re.search(pattern, self.log) is not None)

    def end(self, number: int) -> int:
        self.process.send_signal(number)
        return self.process.wait(GRACE_S)


@contextmanager
def nco(home: Path, *words: str | Path, env: Mapping[str, str] | None = None) -> Iterator[Monitor]:
    """The alias of the smtp monitor, as a service manager starts it."""
    code = "from postbeat.cli.monitor import nco_m_smtp; nco_m_smtp(prog_name='nco_m_smtp')"
    with (home / "told").open("a") as told:
        process = subprocess.Popen(
            [sys.executable, "-c", code, "-state", str(home / "state"), *map(str, words)],
            env=environment({"ISHOME": str(home), **(env or {})}),
            stderr=told,
            text=True,
        )
    try:
        yield Monitor(process, home)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(GRACE_S)


@pytest.fixture
def home(tmp_path: Path, mail: MailServer) -> Path:
    """An installation as the ISM has one, with a profile of the test's mail server."""
    for folder in ("etc/props", "etc/rules", "log"):
        (tmp_path / folder).mkdir(parents=True)
    profile = tmp_path / "profile.yaml"
    profile.write_text(profile_text(mail, regions="[north]", user="other"))
    (tmp_path / "etc/rules/smtp.rules").write_text(
        'log(INFO, "by the rules: " + $message)\n@Summary = $message\n@Severity = 3\n'
    )
    (tmp_path / "etc/props/smtp.props").write_text(
        f'# ours\nProfile : "{profile}"\nDatalog : 1\nOriginator : "From $USER_NAME"\n'
    )
    return tmp_path


def test_it_finds_the_files_of_an_installation_and_brings_results_there(home: Path) -> None:
    with nco(home, env={"USER_NAME": "props"}) as running:
        running.until_logged(r"smtp out-imap4@north#\d+ send GOOD")
        running.until_logged(r"by the rules: ")
        # No other monitor shares its Redis, so what it sends is also read for it, and told here.
        running.until_logged(r"imap4 out-imap4@north#\d+ read GOOD .*: Message Successfully Downloaded")
        told = running.told
        assert running.end(signal.SIGTERM) == 0
    assert f"smtp monitor of {home}/profile.yaml, in north" in told
    assert f"properties  {home}/etc/props/smtp.props ($ISHOME/etc/props/smtp.props)" in told
    assert f"rules       {home}/etc/rules/smtp.rules ($ISHOME/etc/rules/smtp.rules)" in told
    assert f"log         {home}/log/smtp.log ($ISHOME/log/smtp.log)" in told
    assert f"Redis       a private one in {home}/state/monitor-smtp" in told
    assert [line[25:] for line in running.log.splitlines()[-2:]] == [
        "INFO smtp: Going Down ...",
        "INFO smtp: by the rules: Going Down ...",
    ]
    (file,) = (home / "datalogs" / "profile" / "out-imap4").glob("*.xml")
    assert {entry.attrib["monitor"] for entry in ET.parse(file).getroot()} == {"smtp", "imap4"}


def test_sighup_reads_the_rules_again_and_opens_the_log_anew(home: Path) -> None:
    rules, log = home / "etc/rules/smtp.rules", home / "log/smtp.log"
    with nco(home, env={"USER_NAME": "props"}) as running:
        running.until_logged(r"by the rules: ")
        log.rename(home / "log" / "moved.log")
        rules.write_text("@Summary = \n")
        running.process.send_signal(signal.SIGHUP)
        running.until_logged(r"ERROR smtp: The rules stay as they were")
        assert f"{rules}:" in running.told
        running.until_logged(r"by the rules: ")
        rules.write_text('log(WARNING, "another word")\n@Summary = $message\n')
        running.process.send_signal(signal.SIGHUP)
        running.until_logged(r"WARNING smtp: another word")
        (home / "etc/props/smtp.props").write_text("Nonsense : 1\n")
        running.process.send_signal(signal.SIGHUP)
        running.until_logged(r"ERROR smtp: .*smtp.props:1: Nonsense is no property")
        assert running.end(signal.SIGINT) == 130
    assert "Ended." in running.told


def test_several_monitors_may_share_a_redis(home: Path, redis_url: str, mail: MailServer) -> None:
    """The second one has other elements to poll; both are seen in one place."""
    profile = home / "profile.yaml"
    text = profile.read_text().replace("type: imap4,", "type: imap4, poll: 1,")
    profile.write_text(text)
    shared = ["-redis", redis_url]
    argv = command("monitor", "imap4", *shared, "--state", home / "state", profile)
    with nco(home, *shared, env={"USER_NAME": "x"}) as running, (home / "second").open("w") as told:
        second = subprocess.Popen(argv, env=environment(), stderr=told, text=True)
        try:
            running.until_logged(r"smtp out-imap4@north#\d+ send GOOD")
            wait_until(lambda: found(home / "second", "imap4 in-imap4@north"))
            wait_until(lambda: found(home / "second", r"imap4 out-imap4@north#\d+ read GOOD"))
        finally:
            second.terminate()
            assert second.wait(GRACE_S) == 0
        assert " imap4 " not in running.log
        assert running.end(signal.SIGTERM) == 0
    assert "  log         here" in (home / "second").read_text()


def test_what_it_was_given_as_options_wins(home: Path) -> None:
    log = home / "elsewhere.log"
    options: list[str | Path] = [
        "-messagelog",
        log,
        "--messagelevel=error",
        "-nodatalog",
        "-rulesfile",
        home / "own.rules",
    ]
    (home / "own.rules").write_text('log(ERROR, "own " + %Originator)\n')
    with nco(home, *options, "-originator", "Given", env={"USER_NAME": "x"}) as running:
        wait_until(lambda: log.exists() and "own Given" in log.read_text())
        assert running.end(signal.SIGTERM) == 0
    assert "INFO" not in log.read_text()
    assert running.log == ""
    assert not (home / "datalogs").exists()


@pytest.mark.parametrize("kind", Kind)
def test_help_and_version_are_those_of_the_alias(kind: Kind) -> None:
    for option in ("-help", "--help", "-h"):
        code, output = alias(kind, option)
        assert code == 0
        assert output.startswith(f"Usage: nco_m_{kind} [OPTIONS] [PROFILE]")
        assert "-sslciphersuite" in output
        assert ("-mailmessage" in output) is (kind is Kind.SMTP)
    assert alias(kind, "-version") == (0, f"nco_m_{kind} (Postbeat) {metadata.version('postbeat')}\n")


MISTAKES: dict[str, tuple[Kind, list[str], str]] = {
    "an option that is misspelt": (
        Kind.SMTP,
        ["-orignator", "X"],
        "no such option: -orignator; did you mean -originator?",
    ),
    "an option that nothing is like": (
        Kind.SMTP,
        ["--zzz"],
        "no such option: --zzz; nco_m_smtp -help lists all",
    ),
    "an option of another monitor": (
        Kind.POP3,
        ["-mailmessage", "file"],
        "-mailmessage: MailMessage is a property of smtp, not of pop3",
    ),
    "an option without its value": (
        Kind.SMTP,
        ["-rulesfile"],
        "-rulesfile: expected a path in one line after it",
    ),
    "an option that is misspelt, without its value": (
        Kind.SMTP,
        ["-sslkeypasword=canary"],
        "no such option: -sslkeypasword; did you mean -sslkeypassword?",
    ),
    "an option of its own where a value is expected": (
        Kind.SMTP,
        ["-rulesfile", "-state", "folder"],
        "-rulesfile: expected a path in one line after it",
    ),
    "two profiles": (Kind.SMTP, ["one", "two"], "Got unexpected extra argument (two)"),
    "no profile": (
        Kind.SMTP,
        [],
        "no profile: name a file or a folder, or set the property Profile",
    ),
    "a profile that is not there": (
        Kind.SMTP,
        ["nowhere.yaml"],
        "nowhere.yaml:1: cannot read it: No such file or directory",
    ),
    "a properties file that is not there": (
        Kind.SMTP,
        ["-propsfile", "nowhere.props"],
        "nowhere.props: cannot read it: No such file or directory",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_wrong_with_the_command_line_is_said(mistake: str) -> None:
    kind, words, message = MISTAKES[mistake]
    code, output = alias(kind, *words)
    assert code == 2
    assert message in output


def test_what_is_wrong_with_its_files_is_said_before_anything_is_started(tmp_path: Path) -> None:
    profile, rules, state = (tmp_path / name for name in ("profile.yaml", "bad.rules", "state"))
    element = {"name": "mail", "type": "smtp", "server": "127.0.0.1", "regions": ["eu"]}
    profile.write_text(json.dumps({"elements": [element]}))
    rules.write_text("@Summary = $message\n@Severity = nosuch(1)\n")
    state_words = ("-state", state)

    def said(kind: Kind, *words: str | Path) -> str:
        code, output = alias(kind, *state_words, *words)
        assert code == 2
        return output

    assert f"{rules}:2:13: " in said(Kind.SMTP, "-rulesfile", rules, profile)
    assert f"{profile} has no pop3 element that is polled or read" in said(Kind.POP3, profile)
    told = said(Kind.SMTP, "-region", "us", profile)
    assert f"{profile} has no smtp element that is polled or read in region us" in told
    assert "unknown element 'nosuch'" in said(Kind.SMTP, "-datalog", "-datalogformat", "nosuch", profile)
    profile.write_text("elements: [}")
    assert f"{profile}:1" in said(Kind.SMTP, profile)
    assert not (state / "monitor-smtp" / "redis").exists()


@pytest.mark.parametrize(
    ("kind", "redis", "lanes"),
    [
        (Kind.SMTP, [], ["smtp", "imap4", "pop3"]),
        (Kind.POP3, [], ["pop3"]),
        (Kind.SMTP, ["-redis", "redis://127.0.0.1:1/0"], ["smtp"]),
    ],
)
def test_an_smtp_monitor_that_is_alone_tells_of_any_reader_that_its_profile_may_come_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, redis: list[str], lanes: list[str]
) -> None:
    plans: list[Plan] = []
    monkeypatch.setattr(monitoring, "run", lambda plan, *_: plans.append(plan))
    profile = tmp_path / "profile.yaml"
    element = {"name": "mail", "type": kind, "server": "127.0.0.1", "regions": ["eu"], "poll": 60}
    reader = {} if kind is Kind.SMTP else {"username": "probe", "password": "x"}
    profile.write_text(json.dumps({"elements": [{**element, **reader}]}))
    code, output = alias(kind, "-state", tmp_path / "state", *redis, profile)
    assert code == 0, output
    assert [lane.monitor for plan in plans for lane in plan.lanes] == lanes


@pytest.mark.parametrize(
    ("numbers", "code"),
    [((signal.SIGTERM, signal.SIGTERM), 143), ((signal.SIGTERM, signal.SIGINT), 130)],
)
def test_a_second_signal_ends_it_at_once(numbers: tuple[int, int], code: int) -> None:
    def ended() -> None:
        signals = Signals()
        with heeded(signals):
            signal.raise_signal(numbers[0])
            assert signals.ending
            signal.raise_signal(numbers[1])

    with pytest.raises(SystemExit) as raised:
        ended()
    assert raised.value.code == code


def test_a_monitor_is_named_as_a_subcommand(inside: Run) -> None:
    done = inside("monitor", "smtp", "-help")
    assert done.returncode == 0
    assert "monitor smtp [OPTIONS] [PROFILE]" in done.stdout
    assert inside("monitor", "http").returncode == 2


BRIDGE_MISTAKES = {
    ("-kinds", "http"): "--kinds: expected some of smtp, imap4, pop3, got 'http'",
    ("-kinds", ","): "--kinds: expected some of smtp, imap4, pop3, got ','",
    ("-kindz", "smtp"): "no such option: -kindz; did you mean -kinds?",
    (): "no Redis: set POSTBEAT_REDIS_URL or give --redis, as redis://host:6379/0",
}


@pytest.mark.parametrize("words", BRIDGE_MISTAKES, ids=" ".join)
def test_what_is_wrong_with_a_bridge_is_said(words: tuple[str, ...], inside: Run) -> None:
    done = inside("ism", "bridge", *words)
    assert done.returncode == 2
    assert BRIDGE_MISTAKES[words] in done.stderr


def test_a_bridge_alone_serves_the_results_of_a_site(site: Any, tmp_path: Path) -> None:
    """Workers and beat of the site are others' processes."""
    logs = {kind: tmp_path / f"{kind}.log" for kind in ("smtp", "imap4")}
    for kind, path in logs.items():
        (tmp_path / "etc" / "props").mkdir(parents=True, exist_ok=True)
        (tmp_path / "etc" / "props" / f"{kind}.props").write_text(f'MessageLog : "{path}"\n')
    argv = command("ism", "bridge", "-kinds", "smtp,imap4", "-redis", site.redis_url)
    told = tmp_path / "told"
    with told.open("w") as stderr:
        process = subprocess.Popen(argv, env=environment({"ISHOME": str(tmp_path)}), stderr=stderr)
        try:
            wait_until(lambda: found(logs["smtp"], r"smtp out-imap4@north#\d+ send GOOD"))
            wait_until(lambda: found(logs["smtp"], r"smtp closed@\w+#\d+ send FAILED"))
            wait_until(lambda: found(logs["imap4"], r"imap4 out-imap4@north#\d+ read GOOD"))
            wait_until(lambda: found(logs["imap4"], r"imap4 tested@\w+#\d+ check GOOD"))
        finally:
            process.terminate()
            assert process.wait(GRACE_S) == 0
    assert not found(logs["smtp"], " pop3 ")


def found(path: Path, pattern: str) -> bool:
    return path.exists() and re.search(pattern, path.read_text()) is not None


def test_the_aliases_are_commands() -> None:
    assert all(isinstance(one, click.Command) for one in ALIASES.values())

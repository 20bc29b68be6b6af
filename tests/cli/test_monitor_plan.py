"""What a monitor makes of its command line and its environment, before it runs anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from postbeat import settings
from postbeat.cli.monitor import nco_m_smtp
from postbeat.embedded.processes import Processes
from postbeat.embedded.site import Site
from postbeat.ism import monitoring
from postbeat.ism.monitoring import Plan, Signals
from postbeat.settings import Settings
from tests.cli.conftest import environment

PROFILE = "elements:\n- {name: mail, type: smtp, server: 127.0.0.1, regions: [eu]}\n"
CANARY = "canary-77a1"


class Monitor:
    """The alias of the smtp monitor, which ends where it would begin to run."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self.plans: list[Plan] = []
        self.workers: list[Settings] = []  # what those of each plan take from their environment

    def run(self, plan: Plan, signals: Signals, report: Callable[[str], None]) -> None:
        self.plans.append(plan)
        site = Site(Processes(), plan.folder, "redis://h", plan.key, plan.settings)
        self.workers.append(settings.load(site.environment()))

    def __call__(self, *words: str | Path, env: Mapping[str, str] | None = None) -> tuple[int, str]:
        """The exit code and what it printed."""
        unset = dict.fromkeys(os.environ.keys() - environment().keys())
        runner = CliRunner(env=unset | dict(env or {}), catch_exceptions=False)
        done = runner.invoke(nco_m_smtp, ["-state", str(self._state), *map(str, words)])
        return done.exit_code, done.output


@pytest.fixture
def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Monitor:
    """In a folder that has a profile."""
    folder = tmp_path / "shop"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "profile.yaml").write_text(PROFILE)
    one = Monitor(tmp_path / "state")
    monkeypatch.setattr(monitoring, "run", one.run)
    return one


def test_faults_in_the_files_of_a_reader_matter_where_the_profile_names_one(
    monitor: Monitor, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    (home / "etc/props").mkdir(parents=True)
    (home / "etc/props/pop3.props").write_text("Nonsense : 1\n")
    environ = {"ISHOME": str(home)}
    code, told = monitor("profile.yaml", env=environ)
    assert code == 0
    assert "No pop3 mailbox is read." in told
    assert "pop3.props:1: Nonsense is no property of pop3" in told
    Path("profile.yaml").write_text(
        f"{PROFILE.replace('regions', 'email: p@example.com, read: box, regions')}"
        "- {name: box, type: pop3, server: 127.0.0.1, username: u, password: {env: HOME}}\n"
    )
    code, told = monitor("profile.yaml", env=environ)
    assert (code, "pop3.props:1: Nonsense is no property of pop3" in told) == (2, True), told
    assert len(monitor.plans) == 1


def test_which_of_two_passwords_is_not_used_is_said(monitor: Monitor) -> None:
    words = ("-sslkeypassword", CANARY, "profile.yaml")
    code, told = monitor(*words, env={"POSTBEAT_SSL_KEY_PASSWORD_FILE": "/etc/key"})
    assert code == 0
    assert "SSLKeyPasswordFile: not used, as SSLKeyPassword" in told
    assert CANARY not in told


def test_an_empty_option_gives_workers_the_default_too(monitor: Monitor) -> None:
    environ = {
        "POSTBEAT_ORIGINATOR": "From Environment",
        "POSTBEAT_USE_BODY": "1",
        "POSTBEAT_SSL_CERTIFICATE_FILE": "/etc/env.pem",
    }
    words = ("-originator", "", "-usebody=", "-sslcertificatefile", "")
    assert monitor(*words, "profile.yaml", env=environ)[0] == 0
    assert monitor("profile.yaml", env=environ)[0] == 0
    taken_back, inherited = monitor.workers
    default = settings.load({})
    assert (taken_back.originator, taken_back.use_body) == (default.originator, False)
    assert taken_back.ssl_certificate_file == ""
    assert (inherited.originator, inherited.use_body) == ("From Environment", True)
    assert inherited.ssl_certificate_file == "/etc/env.pem"


def test_a_password_of_the_command_line_is_what_workers_use(monitor: Monitor) -> None:
    environ = {"POSTBEAT_SSL_KEY_PASSWORD_FILE": "/etc/old"}
    assert monitor("-sslkeypassword", CANARY, "profile.yaml", env=environ)[0] == 0
    password = monitor.workers[0].tls_defaults().key_password
    assert password is not None
    assert (password.source, password.value) == ("literal", CANARY)


@pytest.mark.parametrize("words", [["."], ["-profile", "."], ["-profile=profile.yaml", "."]], ids=" ".join)
def test_the_current_folder_is_a_profile_and_has_a_name(
    monitor: Monitor, words: list[str], tmp_path: Path
) -> None:
    code, told = monitor("-datalog", "-datalogdir", tmp_path, *words)
    assert (code, "smtp monitor of ., in eu" in told) == (0, True)
    assert monitor.plans[0].profile == tmp_path / "shop"
    datalog = monitor.plans[0].lanes[0].datalog
    assert datalog is not None
    datalog.append("mail", {"message": "x"}, 1_795_687_200_000_000, "1-0")
    assert [path.name for path in (tmp_path / "shop").iterdir() if path.is_dir()] == ["mail"]


def test_without_a_text_there_is_no_profile(monitor: Monitor) -> None:
    for words in ((), ("",), ("-profile", "")):
        code, told = monitor(*words)
        assert (code, "no profile: name a file or a folder" in told) == (2, True)


def test_nothing_behind_two_dashes_is_an_option(monitor: Monitor, tmp_path: Path) -> None:
    Path("profile.yaml").rename("-odd.yaml")
    assert monitor("-usebody", "--", "-odd.yaml")[0] == 0
    assert monitor.plans[0].profile == tmp_path / "shop" / "-odd.yaml"
    assert monitor.workers[0].use_body


def test_a_folder_that_cannot_be_made_is_said(monitor: Monitor, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    in_the_way = tmp_path / "state" / "monitor-smtp"
    in_the_way.write_text("")
    code, told = monitor("profile.yaml")
    assert (code, told.strip()) == (2, f"cannot make the folder {in_the_way}: File exists")


def test_a_home_of_the_ism_that_cannot_be_looked_at_is_said(monitor: Monitor) -> None:
    home = "/" + "x" * 300
    code, told = monitor("profile.yaml", env={"ISHOME": home})
    assert (code, told.strip()) == (2, f"{home}/etc/props/smtp.props: cannot look at it: File name too long")


@pytest.mark.parametrize(
    "word", [f"-sslkeypasword={CANARY}", f"--redisurll=redis://:{CANARY}@h", f"-zzz={CANARY}"]
)
def test_an_option_that_is_misspelt_does_not_show_its_value(monitor: Monitor, word: str) -> None:
    code, told = monitor(word, "profile.yaml")
    assert (code, f"no such option: {word.partition('=')[0]};" in told) == (2, True)
    assert CANARY not in told

"""The commands and the environment of docker-compose.yml, run as they stand there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from postbeat.embedded.processes import Child
from tests.deploy.compose import ROOT, documented_file_sink
from tests.deploy.site import READY_S, Site, running_site
from tests.embedded.conftest import twisted_installed

SERVICES = sorted(
    name
    for name, data in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].items()
    if "profiles" not in data
)
ASK = (
    "import sys, urllib.request, urllib.error, base64\n"
    "request = urllib.request.Request('http://127.0.0.1:5555' + sys.argv[1])\n"
    "if sys.argv[2:]:\n"
    "    word = base64.b64encode(sys.argv[2].encode()).decode()\n"
    "    request.add_header('Authorization', 'Basic ' + word)\n"
    "try:\n"
    "    answer = urllib.request.urlopen(request, timeout=20)\n"
    "except urllib.error.HTTPError as error:\n"
    "    answer = error\n"
    "print(answer.status)\n"
    "print(answer.read().decode())\n"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    twisted_installed()
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


def ask_flower(site: Site, path: str, *login: str) -> tuple[int, str]:
    """The status and the page that Flower answers with."""
    code, output = site.run("flower", "python", "-c", ASK, path, *login)
    assert code == 0
    status, _, page = output.partition("\n")
    return int(status), page


def flower_login(site: Site) -> str:
    return site.compose.services["flower"].environment["FLOWER_BASIC_AUTH"]


def test_every_region_sends_and_reads_and_all_is_good(site: Site) -> None:
    wanted = {
        f"{name}@{region}" for name in ("submission", "mx") for region in ("eu-west", "us-east", "ap-south")
    }

    def all_good() -> bool | None:
        states = site.states()
        good = {name for name, state in states.items() if state["level"] == "GOOD"}
        read = {name for name, state in states.items() if state["counts"]["read"]["GOOD"]}
        return (good == wanted and len(read) == 3) or None

    site.children["beat"].wait_for(all_good, READY_S)


@pytest.mark.parametrize("name", SERVICES)
def test_its_health_check_finds_it_healthy(site: Site, name: str) -> None:
    site.wait_until_healthy(name)


@pytest.fixture
def lonely(site: Site) -> Iterator[Child]:
    """A host of the site's network on which no service runs."""
    child = site.network.start("lonely", ["sleep", "infinity"], {"PATH": site.path})
    yield child
    child.end()


@pytest.mark.parametrize(
    ("database", "argv"),
    [
        ("/0", ["postbeat-healthy", "worker"]),  # there are workers, on other hosts
        ("/1", ["postbeat-healthy", "beat"]),  # nothing was ever fired here
        ("/1", ["postbeat-healthy", "notify"]),  # no sink was ever served here
        ("/1", ["postbeat-healthy", "bridge"]),  # no results were ever taken here
        *(("/0", ["unshare", "--net", "postbeat-healthy", name]) for name in ("flower", "web", "metrics")),
    ],
)
def test_a_health_check_fails_where_the_service_is_not(
    site: Site, lonely: Child, database: str, argv: list[str]
) -> None:
    url = site.compose.services["beat"].environment["POSTBEAT_REDIS_URL"]
    env = {"PATH": site.path, "POSTBEAT_REDIS_URL": url.removesuffix("/0") + database}
    assert site.network.run(lonely, argv, env).returncode == 1


def test_flower_shows_nothing_without_the_name_and_the_password(site: Site) -> None:
    site.wait_until_healthy("flower")
    for login in ((), ("admin:wrong",)):
        for path in ("/", "/workers", "/tasks", "/api/workers"):
            assert ask_flower(site, path, *login)[0] == 401, path


def test_flower_shows_every_worker(site: Site) -> None:
    site.wait_until_healthy("flower")

    def all_workers() -> bool | None:
        status, page = ask_flower(site, "/workers", flower_login(site))
        names = set(re.findall(r"(eu-west|us-east|ap-south)@worker-\1", page))
        return (status == 200 and len(names) == 3) or None

    site.children["flower"].wait_for(all_workers, READY_S)


@pytest.mark.parametrize("name", ["metrics", "notify"])
def test_a_service_that_has_a_profile_becomes_healthy_and_ends_on_sigterm(site: Site, name: str) -> None:
    sinks = {"sinks": [{"name": "log", "type": "command", "command": ["/bin/true"]}]}
    (site.compose.sinks / "sinks.yaml").write_text(yaml.safe_dump(sinks))
    site.start(name)
    child = site.children.pop(name)
    try:
        child.wait_for(lambda: site.healthy_on(child, name) or None, READY_S)
    finally:
        child.end()
    assert child.exit_code == 0


def test_alerts_of_the_bridge_come_to_the_file_of_a_sink(site: Site) -> None:
    notify = site.compose.everything["notify"]
    file = Path(notify.paths[str(documented_file_sink().parent)]) / documented_file_sink().name
    sinks = {"sinks": [{"name": "alerts", "type": "jsonlines", "to": str(file), "kinds": "alert"}]}
    (site.compose.sinks / "sinks.yaml").write_text(yaml.safe_dump(sinks))
    names = ("notify", "bridge")
    try:
        for name in names:  # a new sink begins with what comes next
            site.start(name)
            site.wait_until_healthy(name)
        told = site.children["notify"].wait_for(lambda: (file.exists() and file.read_text()) or None, READY_S)
        assert json.loads(told.splitlines()[0])["message"] == "Running ..."
    finally:
        ended = [site.children.pop(name) for name in names if name in site.children]
        for child in ended:
            child.end()
    assert [child.exit_code for child in ended] == [0, 0]


def test_the_page_asks_who_one_is(site: Site) -> None:
    site.wait_until_healthy("web")
    client = "import sys, urllib.request as r; print(r.urlopen('http://127.0.0.1:8025' + sys.argv[1]).url)"
    assert site.run("web", "python", "-c", client, "/") == (0, "http://127.0.0.1:8025/login?next=%2F\n")
    assert site.run("web", "python", "-c", client, "/api/v1/overview")[0] == 1


def test_no_secret_is_on_a_command_line_or_in_a_log(site: Site) -> None:
    folder = site.compose.secrets
    secrets = [
        (folder / "site.key").read_text().strip(),
        (folder / "redis.conf").read_text().split()[1],
        (folder / "passwords" / "probe").read_text(),
        flower_login(site).partition(":")[2],
        (folder / "web-admin.txt").read_text().strip(),
        (folder / "web.env").read_text().strip().partition("=")[2],
    ]
    assert all(len(secret) > 10 for secret in secrets)
    for child in site.children.values():
        said = Path(f"/proc/{child.pid}/cmdline").read_text() + child.log.read_text()
        assert len(said) > 20
        assert not [secret for secret in secrets if secret in said], child.name


def test_redis_has_the_options_that_the_data_needs(site: Site) -> None:
    memory = str(512 * 1024**2)
    wanted = {"appendonly": "yes", "maxmemory": memory, "maxmemory-policy": "noeviction", "save": ""}
    password = (site.compose.secrets / "redis.conf").read_text().split()[1]
    client = ["env", f"REDISCLI_AUTH={password}", "redis-cli", "--raw", "config", "get"]
    for option, value in wanted.items():
        assert site.run("redis", *client, option) == (0, f"{option}\n{value}\n")
    assert list((site.compose.folder / "redis").glob("appendonly*"))

"""What docker-compose reads in docker-compose.yml."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from postbeat import profile
from postbeat.sinks import loading
from tests.conftest import not_installed
from tests.deploy.compose import ROOT, Compose, documented_file_sink, make_secrets, seconds
from tests.deploy.site import EXAMPLE


@pytest.fixture(scope="module")
def compose(tmp_path_factory: pytest.TempPathFactory) -> Compose:
    folder = tmp_path_factory.mktemp("compose")
    make_secrets(folder / "secrets")
    return Compose(folder / "secrets", EXAMPLE.parent, folder)


def test_there_is_a_worker_for_every_region_of_the_example(compose: Compose) -> None:
    regions = {pair.region for pair, _ in profile.load(EXAMPLE.parent).active()}
    commands = [service.command for service in compose.services.values()]
    assert {
        command[3] for command in commands if command[:3] == ["postbeat", "worker", "--region"]
    } == regions


def test_docker_waits_longer_for_a_worker_than_the_worker_for_its_polls(compose: Compose) -> None:
    workers = [service for name, service in compose.services.items() if name.startswith("worker-")]
    assert workers
    for worker in workers:
        assert worker.stop_grace_s >= float(worker.environment["POSTBEAT_GRACE"]) + 10


def test_a_health_check_ends_before_the_next_begins(compose: Compose) -> None:
    for service in compose.everything.values():
        check = service.data["healthcheck"]
        assert seconds(check["timeout"]) <= seconds(check["interval"]), service.name


def test_no_service_has_more_rights_than_it_needs(compose: Compose) -> None:
    for service in compose.everything.values():
        assert service.data["read_only"] is True
        assert service.data["cap_drop"] == ["ALL"]
        assert service.data["security_opt"] == ["no-new-privileges:true"]
        assert service.data.get("privileged", False) is False


def test_only_pages_can_be_reached_and_only_from_this_machine(compose: Compose) -> None:
    ports = {
        name: service.data["ports"] for name, service in compose.everything.items() if "ports" in service.data
    }
    assert ports == {
        name: [f"127.0.0.1:{port}:{port}/tcp"]
        for name, port in {
            "flower": 5555,
            "web": 8025,
            "prometheus": 9090,
            "alertmanager": 9093,
            "grafana": 3000,
        }.items()
    }


def test_what_is_optional_has_a_profile(compose: Compose) -> None:
    profiles = {name: service.profiles for name, service in compose.everything.items() if service.profiles}
    assert profiles == {
        "notify": ["notify"],
        "bridge": ["bridge"],
        **{name: ["monitoring"] for name in ("metrics", "prometheus", "alertmanager", "grafana")},
    }


def test_what_is_written_to_files_has_a_volume(compose: Compose) -> None:
    assert str(documented_file_sink().parent) in compose.everything["notify"].written
    datalogs = Path(compose.everything["bridge"].data["environment"]["POSTBEAT_DATALOG_DIR"])
    assert str(datalogs.parent) in compose.everything["bridge"].written


def test_a_bridge_that_was_made_anew_is_the_same_host_to_its_alerts(compose: Compose) -> None:
    assert compose.everything["bridge"].data["hostname"] == "bridge"


def test_the_memory_of_redis_has_a_limit_that_a_site_can_set(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTBEAT_REDIS_MEMORY", "2gb")
    given = Compose(compose.secrets, compose.profile, compose.folder)
    limits = []
    for one in (compose, given):
        words = one.services["redis"].command
        limits.append(words[words.index("--maxmemory") + 1])
    assert limits == ["512mb", "2gb"]


def test_every_image_that_is_not_ours_has_a_version(compose: Compose) -> None:
    images = [
        service.data["image"] for name, service in compose.everything.items() if name not in compose.ours
    ]
    assert len(images) == 4
    for image in images:
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+[-.a-z0-9]*", image), image


def test_what_is_mounted_from_this_folder_exists(compose: Compose) -> None:
    for service in compose.everything.values():
        for path in service.paths.values():
            assert not path.startswith(str(ROOT)) or (ROOT / path).exists(), path
    assert loading.load(ROOT / "deploy" / "examples" / "sinks.yaml")


def test_prometheus_asks_the_services_of_this_file_and_takes_the_alerts(compose: Compose) -> None:
    if shutil.which("promtool") is None:
        not_installed("promtool", "prometheus")
    file = ROOT / "deploy" / "prometheus" / "compose.yml"
    subprocess.run(["promtool", "check", "config", file], check=True, capture_output=True, timeout=60)
    data = yaml.safe_load(file.read_text())
    standing_alone = yaml.safe_load((file.parent / "prometheus.yml").read_text())
    text = json.dumps(data)
    for host, port in (("metrics", 9795), ("alertmanager", 9093)):
        assert host in compose.everything
        text = text.replace(f"{host}:{port}", f"127.0.0.1:{port}")
    assert json.loads(text) == standing_alone
    (source,) = yaml.safe_load(
        (ROOT / "deploy" / "grafana" / "provisioning" / "datasources" / "prometheus.yaml").read_text()
    )["datasources"]
    assert source["url"] == "http://prometheus:9090"


def test_each_service_gets_the_secrets_that_it_needs_and_no_more(compose: Compose) -> None:
    def secrets(name: str) -> set[str]:
        service = compose.everything[name].data
        files = {secret["source"] for secret in service.get("secrets", [])}
        return files | {
            name
            for name in service.get("environment", {})
            if re.search("REDIS_URL|AUTH|SECRET|PASSWORD", name)
        }

    assert secrets("redis") == {"redis.conf"}
    assert secrets("beat") == secrets("worker-eu-west") == {"site-key", "POSTBEAT_REDIS_URL"}
    assert secrets("flower") == {"POSTBEAT_REDIS_URL", "FLOWER_BASIC_AUTH"}
    assert secrets("web") == {"POSTBEAT_REDIS_URL", "POSTBEAT_WEB_SECRET"}
    assert secrets("notify") == secrets("bridge") == secrets("metrics") == {"POSTBEAT_REDIS_URL"}
    assert secrets("prometheus") == secrets("alertmanager") == set()
    assert secrets("grafana") == {"GF_SECURITY_ADMIN_PASSWORD"}
    passwords = str(compose.secrets / "passwords")
    with_passwords = {
        name for name, service in compose.everything.items() if passwords in service.paths.values()
    }
    assert with_passwords == {"notify", *(name for name in compose.services if name.startswith("worker-"))}


def test_the_secrets_of_this_checkout_are_not_in_git_and_not_sent_to_docker() -> None:
    default = "./deploy/secrets"
    assert f"${{POSTBEAT_SECRETS:-{default}}}" in (ROOT / "docker-compose.yml").read_text()
    assert "/secrets/" in (ROOT / "deploy" / ".gitignore").read_text().splitlines()
    first_rule = next(
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert first_rule == "*"

"""What docker-compose reads in docker-compose.yml."""

from __future__ import annotations

import pytest

from postbeat import profile
from tests.deploy.compose import ROOT, Compose, make_secrets, seconds
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
    for service in compose.services.values():
        check = service.data["healthcheck"]
        assert seconds(check["timeout"]) <= seconds(check["interval"]), service.name


def test_no_service_has_more_rights_than_it_needs(compose: Compose) -> None:
    for service in compose.services.values():
        assert service.data["read_only"] is True
        assert service.data["cap_drop"] == ["ALL"]
        assert service.data["security_opt"] == ["no-new-privileges:true"]
        assert service.data.get("privileged", False) is False


def test_only_flower_can_be_reached_and_only_from_this_machine(compose: Compose) -> None:
    ports = {
        name: service.data["ports"] for name, service in compose.services.items() if "ports" in service.data
    }
    assert ports == {"flower": ["127.0.0.1:5555:5555/tcp"]}


def test_each_service_gets_the_secrets_that_it_needs_and_no_more(compose: Compose) -> None:
    def secrets(name: str) -> set[str]:
        service = compose.services[name].data
        files = {secret["source"] for secret in service.get("secrets", [])}
        return files | {
            name
            for name in service.get("environment", {})
            if name in ("POSTBEAT_REDIS_URL", "FLOWER_BASIC_AUTH")
        }

    assert secrets("redis") == {"redis.conf"}
    assert secrets("beat") == secrets("worker-eu-west") == {"site-key", "POSTBEAT_REDIS_URL"}
    assert secrets("flower") == {"POSTBEAT_REDIS_URL", "FLOWER_BASIC_AUTH"}
    passwords = str(compose.secrets / "passwords")
    with_passwords = {
        name for name, service in compose.services.items() if passwords in service.paths.values()
    }
    assert with_passwords == {name for name in compose.services if name.startswith("worker-")}


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

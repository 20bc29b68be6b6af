"""The services of docker-compose.yml as processes of this machine, against a mail server of our own."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from postbeat.embedded.mail import PASSWORDS_VARIABLE
from postbeat.embedded.processes import Child, Processes
from tests.deploy.compose import ROOT, Compose, make_secrets, search_path
from tests.deploy.network import Network

EXAMPLE = ROOT / "deploy" / "examples" / "profile" / "mail.yaml"
USER = "probe@example.com"
PASSWORD = "correct-horse"
PORTS = {"smtp": 25, "imap4": 143}
READY_S = 60.0


@dataclass
class Site:
    """A running site; ``children`` are its services by name."""

    compose: Compose
    network: Network
    path: str
    children: dict[str, Child] = field(default_factory=dict)

    def start(self, name: str) -> None:
        service = self.compose.everything[name]
        child = self.network.start(name, service.command, self._environment(name), service.stop_grace_s)
        self.children[name] = child

    def wait_until_healthy(self, name: str) -> None:
        self.children[name].wait_for(lambda: self.healthy(name) or None, READY_S)

    def healthy(self, name: str) -> bool:
        return self.run(name, *self.compose.everything[name].health_check)[0] == 0

    def healthy_on(self, child: Child, name: str) -> bool:
        """Whether the health check of a service finds it healthy on the host of this child."""
        argv = self.compose.everything[name].health_check
        return self.network.run(child, argv, self._environment(name)).returncode == 0

    def run(self, name: str, *argv: str) -> tuple[int, str]:
        """The exit code and the output of a command where a service runs (docker-compose exec)."""
        ran = self.network.run(self.children[name], list(argv), self._environment(name))
        return ran.returncode, ran.stdout

    def states(self) -> dict[str, Any]:
        """Where every pair stands, by its name."""
        code, output = self.run("beat", "postbeat", "status", "--json")
        assert code == 0
        return {f"{state['element']}@{state['region']}": state for state in json.loads(output)}

    def _environment(self, name: str) -> dict[str, str]:
        return {**self.compose.everything[name].environment, "PATH": self.path}


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """All services and a mail server; each service is started once those that it depends on are healthy."""
    compose = prepared(folder)
    commands = folder / "bin"
    commands.mkdir()
    (commands / "postbeat-healthy").symlink_to(ROOT / "deploy" / "healthy.py")
    for name in ("redis", "sinks", "logs"):
        (folder / name).mkdir()
    with Processes() as processes:
        network = Network(processes, folder, [*compose.everything, "mail.example.com", "mx.example.com"])
        _start_mail_server(network)
        site = Site(compose, network, search_path(commands))
        site.start("redis")
        site.wait_until_healthy("redis")
        for name in compose.services:
            if name != "redis":
                site.start(name)
        yield site


def prepared(folder: Path) -> Compose:
    """New secrets and the example's profile, for a mail server without TLS."""
    secrets, profile = folder / "secrets", folder / "profile"
    make_secrets(secrets)
    password = secrets / "passwords" / "probe"
    password.write_text(PASSWORD)
    data = yaml.safe_load(EXAMPLE.read_text())
    for element in data["elements"]:
        element.update(securitytype="NONE", port=PORTS[element["type"]])
        if "password" in element:
            element["password"] = {"file": str(password)}
        if element["type"] == "smtp":
            element.update(poll=2, plaintextlogin=True)
    profile.mkdir()
    (profile / "mail.yaml").write_text(yaml.safe_dump(data))
    return Compose(secrets, profile, folder)


def _start_mail_server(network: Network) -> None:
    ports = [f"--{kind}={port}" for kind, port in PORTS.items()]
    child = network.start(
        "mail.example.com",
        [sys.executable, "-P", "-m", "postbeat.embedded.mailserver", f"--user={USER}", *ports],
        {**os.environ, PASSWORDS_VARIABLE: json.dumps({USER: PASSWORD})},
    )
    child.wait_for(lambda: child.last_lines() or None, READY_S)

"""What docker-compose makes of docker-compose.yml, and its services as plain commands."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import not_installed

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Service:
    """One service of a resolved compose file. ``paths``: where a path of the container is on this machine."""

    name: str
    data: Mapping[str, Any]
    paths: Mapping[str, str]

    @property
    def profiles(self) -> list[str]:
        return list(self.data.get("profiles", []))

    @property
    def command(self) -> list[str]:
        return [self._here(word) for word in self.data["command"]]

    @property
    def environment(self) -> dict[str, str]:
        return {name: self._here(value) for name, value in self.data.get("environment", {}).items()}

    @property
    def health_check(self) -> list[str]:
        kind, *words = [self._here(word) for word in self.data["healthcheck"]["test"]]
        return ["sh", "-c", *words] if kind == "CMD-SHELL" else words

    @property
    def written(self) -> list[str]:
        """The folders of the container that it may write to, and that outlive it."""
        volumes = [volume.split(":") for volume in self.data.get("volumes", [])]
        return [target for _source, target, mode in volumes if mode == "rw"]

    @property
    def stop_grace_s(self) -> float:
        return seconds(self.data["stop_grace_period"])

    def _here(self, text: str) -> str:
        """The text with this machine's paths, and what compose escaped."""
        for path in self.paths:
            text = re.sub(rf"{path}\b", lambda found: self.paths[found[0]], text)
        return text.replace("$$", "$")


@dataclass(frozen=True)
class Compose:
    """The compose file with these secrets and this profile; volumes and sinks are in ``folder``."""

    secrets: Path
    profile: Path
    folder: Path

    @property
    def sinks(self) -> Path:
        return self.folder / "sinks"

    @cached_property
    def data(self) -> dict[str, Any]:
        if shutil.which("docker-compose") is None:
            not_installed("docker-compose", "docker-compose")
        ran = subprocess.run(
            ["docker-compose", "-f", str(ROOT / "docker-compose.yml"), "config"],
            env={
                **os.environ,
                "POSTBEAT_SECRETS": str(self.secrets),
                "POSTBEAT_PROFILE": str(self.profile),
                "POSTBEAT_SINKS": str(self.sinks),
            },
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        data: dict[str, Any] = yaml.safe_load(ran.stdout)
        return data

    @cached_property
    def everything(self) -> dict[str, Service]:
        """All services, with those that are started only where their profile is asked for."""
        return {name: Service(name, data, self._paths(data)) for name, data in self.data["services"].items()}

    @property
    def services(self) -> dict[str, Service]:
        """Those that are always started."""
        return {name: one for name, one in self.everything.items() if not one.profiles}

    @property
    def ours(self) -> dict[str, Service]:
        """Those that run Postbeat, with those of profiles."""
        return {name: one for name, one in self.everything.items() if one.data["image"] == "postbeat"}

    def _paths(self, service: Mapping[str, Any]) -> dict[str, str]:
        paths = {}
        for volume in service.get("volumes", []):
            source, target, _mode = volume.split(":")
            paths[target] = source if source.startswith("/") else str(self.folder / source)
        for secret in service.get("secrets", []):
            name = secret["source"]
            paths[f"/run/secrets/{name}"] = self.data["secrets"][name]["file"]
        return paths


def documented_file_sink() -> Path:
    """The file that the documents have a sink write to."""
    found = re.search(r"type: jsonlines, to: (/[^,}]+)", (ROOT / "docs" / "events.md").read_text())
    assert found
    return Path(found[1])


def seconds(text: str) -> float:
    """The seconds of a duration of compose, such as ``1m30s``."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(float(number) * units[unit] for number, unit in re.findall(r"([\d.]+)([hms])", text))


def make_secrets(folder: Path) -> None:
    """What a new user does first."""
    subprocess.run(
        [ROOT / "deploy" / "make-secrets", folder],
        env={**os.environ, "POSTBEAT_COMMAND": "postbeat", "PATH": search_path()},
        check=True,
        timeout=60,
    )


def search_path(*folders: Path) -> str:
    """A PATH with these folders and the commands of this environment before the machine's."""
    return os.pathsep.join([*map(str, folders), sysconfig.get_path("scripts"), os.environ["PATH"]])

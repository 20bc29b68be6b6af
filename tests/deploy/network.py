"""The network of compose on this machine: a namespace in which the name of every service leads to it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from postbeat.embedded.processes import Child, EmbeddedError, Processes
from tests.conftest import REQUIRE_SERVERS, not_installed

# Without root, the namespaces belong to a user namespace in which we are root.
_ROOT = os.geteuid() == 0
_UNSHARE = ["unshare", "--net", "--mount", *([] if _ROOT else ["--user", "--map-root-user"])]
_NSENTER = ["nsenter", "--net", "--mount", *([] if _ROOT else ["--user", "--preserve-credentials"])]
_SETUP = 'ip link set lo up && mount --bind "$0" /etc/hosts && echo ready && exec sleep infinity'
_NAMED = 'hostname "$0" && exec "$@"'
# Without which there is no such network, and the packages that bring them.
TOOLS = {"nsenter": "util-linux", "ip": "iproute2", "hostname": "hostname"}
START_S = 20.0


class Network:
    """Runs programs in a network of their own, each on a host with a name of its own."""

    def __init__(self, processes: Processes, folder: Path, names: Iterable[str]) -> None:
        for tool, package in TOOLS.items():
            if shutil.which(tool) is None:
                not_installed(tool, package)
        self._processes = processes
        self._folder = folder
        hosts = folder / "hosts"
        hosts.write_text("".join(f"127.0.0.1 {name}\n" for name in ("localhost", *names)))
        self._holder = processes.start(
            "network",
            [*_UNSHARE, "sh", "-c", _SETUP, str(hosts)],
            env=os.environ,
            log=folder / "network.log",
        )
        try:
            self._holder.wait_for(lambda: self._holder.last_lines() == "ready" or None, START_S)
        except EmbeddedError as error:
            if os.environ.get(REQUIRE_SERVERS):
                raise
            pytest.skip(f"no network of its own can be made on this machine: {error}")

    def start(self, host: str, argv: list[str], env: Mapping[str, str], grace_s: float = 5.0) -> Child:
        """Starts a program on a host; what it gets with ``env`` is all of its environment."""
        child = self._processes.start(
            host,
            [*self._enter(self._holder), "unshare", "--uts", "sh", "-c", _NAMED, host, *argv],
            env=env,
            log=self._folder / f"{host}.log",
            grace_s=grace_s,
        )
        child.wait_for(lambda: _has_host(child) or None, START_S)
        return child

    def run(self, child: Child, argv: list[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Runs a program on the host of one that was started, to its end."""
        return subprocess.run(
            [*self._enter(child), "--uts", *argv],
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def _enter(self, child: Child) -> list[str]:
        return [*_NSENTER, f"--target={child.pid}"]


def _has_host(child: Child) -> bool:
    """Whether it has left the namespaces of this process; the last one that it leaves is that of the name."""
    try:
        return os.readlink(f"/proc/{child.pid}/ns/uts") != os.readlink("/proc/self/ns/uts")
    except OSError:
        return False

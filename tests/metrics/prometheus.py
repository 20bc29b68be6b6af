"""A real Prometheus and a real Alertmanager on 127.0.0.1, and somebody whom they tell of alerts."""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TypeVar

from postbeat.embedded.processes import Processes
from tests.conftest import not_installed
from tests.listening import HttpServer, serving
from tests.ports import free_port

T = TypeVar("T")
START_S = 30.0


def tool(name: str) -> str:
    """The path of a program of these two; the test is skipped without it."""
    found = shutil.which(name)
    if found is None:
        not_installed(name, "prometheus prometheus-alertmanager")
    return found


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=5) as answer:
        body = answer.read()
        return json.loads(body) if "json" in answer.headers["Content-Type"] else body


def until(condition: Callable[[], T], what: str, deadline_s: float = 30.0) -> T:
    deadline = time.monotonic() + deadline_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"no {what} after {deadline_s:g} s"
        time.sleep(0.1)
    return value


class Prometheus:
    """One that scrapes and judges every two seconds, the time that a scrape may take."""

    def __init__(
        self, processes: Processes, folder: Path, target: str, rules: str, alertmanager: str, features: str
    ) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        folder.mkdir()
        (folder / "alerts.yml").write_text(rules)
        config = {
            "global": {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"},
            "rule_files": ["alerts.yml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
            "scrape_configs": [{"job_name": "postbeat", "static_configs": [{"targets": [target]}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        arguments = [
            tool("prometheus"),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
            f"--enable-feature={features}",
        ]
        child = processes.start("prometheus", arguments, env={}, log=folder / "prometheus.log")
        child.wait_for(lambda: _is_ready(f"{self.url}/-/ready"), START_S)

    def query(self, expression: str) -> dict[tuple[tuple[str, str], ...], Any]:
        """What an expression is now, by the labels that are not Prometheus's own."""
        text = urllib.parse.urlencode({"query": expression})
        result = get(f"{self.url}/api/v1/query?{text}")["data"]["result"]
        return {
            tuple(
                sorted((k, v) for k, v in one["metric"].items() if k not in ("job", "instance", "__name__"))
            ): float(one["value"][1])
            for one in result
        }

    def exemplars(self, expression: str) -> list[Any]:
        now = time.time()
        text = urllib.parse.urlencode({"query": expression, "start": now - 300, "end": now + 60})
        found: list[Any] = get(f"{self.url}/api/v1/query_exemplars?{text}")["data"]
        return [exemplar for series in found for exemplar in series["exemplars"]]

    def target(self) -> dict[str, Any]:
        (target,) = get(f"{self.url}/api/v1/targets")["data"]["activeTargets"]
        return dict(target)


class Alertmanager:
    """One that tells a webhook of all alerts, at once."""

    def __init__(self, processes: Processes, folder: Path, webhook: str) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        config = {
            "route": {"receiver": "all", "group_wait": "0s", "group_interval": "1s", "group_by": ["..."]},
            "receivers": [{"name": "all", "webhook_configs": [{"url": webhook, "send_resolved": True}]}],
        }
        (folder / "alertmanager.yml").write_text(json.dumps(config))
        arguments = [
            tool("prometheus-alertmanager"),
            f"--config.file={folder / 'alertmanager.yml'}",
            f"--storage.path={folder / 'alertmanager'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]
        child = processes.start("alertmanager", arguments, env={}, log=folder / "alertmanager.log")
        child.wait_for(lambda: _is_ready(f"http://{self.address}/-/ready"), START_S)

    def alerts(self) -> set[tuple[str, str]]:
        """The names and elements of the alerts that are open."""
        found = get(f"http://{self.address}/api/v2/alerts?active=true")
        return {(one["labels"]["alertname"], one["labels"].get("element", "")) for one in found}


@contextmanager
def webhook() -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """A URL, and what was told there: the status, name and element of each alert."""
    told: list[tuple[str, str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            for alert in body["alerts"]:
                labels = alert["labels"]
                told.append((alert["status"], labels["alertname"], labels.get("element", "")))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with serving(HttpServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}/", told


def _is_ready(url: str) -> bool | None:
    try:
        get(url)
    except (urllib.error.URLError, OSError):
        return None
    return True

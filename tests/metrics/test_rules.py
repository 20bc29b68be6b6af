"""What is shipped for Prometheus, Alertmanager and Grafana is valid, and names only what there is."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from docs.generate import METRICS, metrics_text
from postbeat.delivery import Outcome, Tally
from postbeat.metrics.collect import CAUSES, METHODS, STAGES
from postbeat.metrics.names import METRICS as ALL
from postbeat.metrics.names import Type
from postbeat.metrics.objectives import WINDOWS_S, window_name
from postbeat.model import Level, Phase
from postbeat.slo import BURN_ALERTS, BURN_POLLS
from postbeat.verdict import Verdict
from tests.metrics.prometheus import tool

HERE = Path(__file__).parent
SHIPPED = HERE.parents[1] / "deploy" / "prometheus"
DASHBOARD = HERE.parents[1] / "deploy" / "grafana" / "postbeat.json"


def checked(*argv: str | Path) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load((SHIPPED / "alerts.yml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


def series_names() -> set[str]:
    """The names of all series that an exposition may have."""
    parts = {Type.HISTOGRAM: ("", "_bucket", "_sum", "_count")}
    return {metric.name + part for metric in ALL for part in parts.get(metric.type, ("",))}


def expressions(panels: list[dict[str, Any]]) -> Iterator[str]:
    for panel in panels:
        for target in panel.get("targets", ()):
            yield target["expr"]
        yield from expressions(panel.get("panels", []))


def dashboard() -> tuple[list[str], str]:
    """The expressions of the dashboard with values for its variables, and its text."""
    text = DASHBOARD.read_text(encoding="utf-8")
    found = list(expressions(json.loads(text)["panels"]))
    return [
        one.replace("$window", "1h").replace("$element", ".*").replace("$region", ".*") for one in found
    ], text


def test_prometheus_accepts_the_alerts_and_the_configuration() -> None:
    promtool = tool("promtool")
    assert "SUCCESS" in checked(promtool, "check", "rules", "--lint-fatal", SHIPPED / "alerts.yml")
    checked(promtool, "check", "config", SHIPPED / "prometheus.yml")


def test_the_alerts_fire_when_they_should() -> None:
    assert "SUCCESS" in checked(tool("promtool"), "test", "rules", HERE / "alerts_test.yml")


def test_alertmanager_accepts_its_configuration() -> None:
    assert "SUCCESS" in checked(tool("amtool"), "check-config", SHIPPED / "alertmanager.yml")


def test_every_alert_is_tested() -> None:
    tested = yaml.safe_load((HERE / "alerts_test.yml").read_text())["tests"]
    fired = {
        case["alertname"] for test in tested for case in test["alert_rule_test"] if case.get("exp_alerts")
    }
    assert fired == {rule["alert"] for rule in rules()}


def test_alerts_name_only_series_that_exist() -> None:
    for rule in rules():
        named = set(re.findall(r"postbeat_\w+", rule["expr"]))
        assert named
        assert named <= series_names()


def test_alerts_on_the_monitor_are_apart_from_those_on_services() -> None:
    for rule in rules():
        ours = r'UNKNOWN|"monitor"|postbeat_(?:beat|workers|loop|queue|profile|build)_?'
        expected = "monitor" if re.search(ours, rule["expr"]) else "service"
        assert rule["labels"]["component"] == expected, rule["alert"]


def test_every_alert_on_an_element_is_silent_in_maintenance() -> None:
    silent = re.compile(r"\bunless\b.*\bpostbeat_(?:verdict_)?maintenance\b.* == 1$")
    for rule in rules():
        on_element = "$labels.element" in rule["annotations"]["summary"]
        assert bool(silent.search(rule["expr"].rstrip())) is on_element, rule["alert"]


def test_the_burn_alerts_are_those_of_the_objectives() -> None:
    burning = [rule for rule in rules() if rule["alert"] == "PostbeatErrorBudgetBurns"]
    told = [
        (*re.findall(r'window="(\w+)"\} >=? ([\d.]+)', rule["expr"]), rule["labels"]["severity"])
        for rule in burning
    ]
    assert told == [
        (
            (window_name(alert.long_s), f"{alert.factor:g}"),
            (window_name(alert.short_s), f"{alert.factor:g}"),
            (window_name(alert.long_s), str(BURN_POLLS)),
            alert.severity,
        )
        for alert in BURN_ALERTS
    ]


def test_every_query_of_the_dashboard_is_one_that_prometheus_understands(tmp_path: Path) -> None:
    found, _ = dashboard()
    recorded = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(found)]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": recorded}]}))
    assert f"{len(found)} rules found" in checked(tool("promtool"), "check", "rules", file)


def test_the_dashboard_names_only_series_and_labels_that_exist() -> None:
    found, text = dashboard()
    for expression in found:
        for name, selector in re.findall(r"(postbeat_\w+)(?:\{([^}]*)\})?", expression):
            assert name in series_names()
            metric = next(metric for metric in ALL if name in {metric.name, metric.name + "_bucket"})
            assert set(re.findall(r"(\w+)[=!]", selector)) <= set(metric.labels), expression
    variables = {one["name"] for one in json.loads(text)["templating"]["list"]}
    assert set(re.findall(r"\$\{?([a-z]+)", text)) <= variables
    assert {"element", "region"} <= variables


def test_the_dashboard_shows_what_is_in_maintenance() -> None:
    found, _ = dashboard()
    assert any("postbeat_maintenance{" in expression for expression in found)


def test_the_dashboard_shows_everything_once() -> None:
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    numbers = [panel["id"] for panel in document["panels"]]
    assert len(set(numbers)) == len(numbers)
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_the_document_has_every_metric() -> None:
    text = METRICS.read_text(encoding="utf-8")
    assert text == metrics_text(text), "run: make docs"


def test_the_document_has_every_alert_with_its_severities() -> None:
    told = dict(re.findall(r"\| (Postbeat\w+) \| ([a-z, ]+) \|", METRICS.read_text(encoding="utf-8")))
    shipped: dict[str, set[str]] = {}
    for rule in rules():
        shipped.setdefault(rule["alert"], set()).add(rule["labels"]["severity"])
    assert {alert: set(severities.split(", ")) for alert, severities in told.items()} == shipped


def test_names_follow_the_conventions() -> None:
    for metric in ALL:
        assert re.fullmatch(r"postbeat(_[a-z0-9]+)+", metric.name)
        assert metric.name.endswith("_total") is (metric.type is Type.COUNTER)
        assert metric.help.endswith(".")
        assert metric.unit == "seconds" or metric.type is not Type.HISTOGRAM
    assert len({metric.name for metric in ALL}) == len(ALL)


def test_the_document_has_every_value_of_labels() -> None:
    text = METRICS.read_text(encoding="utf-8")
    told = {
        label: set(re.sub(r" \([^)]*\)", "", values).split(", "))
        for label, values in re.findall(r"\| `(\w+)` \| ([^|`]+) \|\n", text)
    }
    assert told == {
        "verdict": set(Verdict),
        "level": set(Level),
        "cause": set(CAUSES),
        "phase": set(Phase),
        "stage": set(STAGES.values()),
        "outcome": set(Outcome),
        "method": set(METHODS),
        "event": set(Tally),
        "window": {window_name(seconds) for seconds in WINDOWS_S},
        "queue": {"probe", "read"},
    }

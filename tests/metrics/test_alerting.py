"""A site under a real Prometheus and a real Alertmanager, while its mail server goes away and comes back."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.running import Running
from tests.mailservers import MailServers
from tests.metrics.prometheus import Alertmanager, Prometheus, get, tool, until, webhook
from tests.ports import free_port

pytestmark = [pytest.mark.mailservers, pytest.mark.slow]

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "alerts.yml"
# Scrapes before the mail server stops, one in two seconds; more of them show that it goes on without a fault.
SCRAPES = int(os.environ.get("POSTBEAT_SCRAPES", "5"))
FAILED = ("PostbeatServiceFailed", "mail")


def impatient(rules: str) -> str:
    """The shipped rules, for a test that cannot wait for minutes."""
    return re.sub(r"\[(1h|15m)\]", "[15s]", re.sub(r"for: \d+[mh]", "for: 1s", rules))


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with Running.open(tmp_path) as running:
        yield running


def metrics(running: Running) -> str:
    """Starts ``postbeat metrics``; the address that it listens on."""
    port = free_port()
    log = running.site.folder / "metrics.log"
    child = running.site.processes.start(
        "metrics",
        [sys.executable, "-P", "-m", "postbeat", "metrics", "--port", str(port)],
        env=running.site.environment(),
        log=log,
    )
    child.wait_for(lambda: True if "Metrics are at" in log.read_text() else None, 30)
    return f"127.0.0.1:{port}"


def test_an_alert_fires_when_the_mail_server_stops_and_resolves_when_it_is_back(
    servers: MailServers, running: Running
) -> None:
    for name in ("prometheus", "prometheus-alertmanager"):
        tool(name)
    account = servers.account()
    processes, folder = running.site.processes, running.site.folder
    with webhook() as (url, told):
        running.start(
            servers.mailbox("imap4", "box", account, "STARTTLS"),
            servers.smtp("mail", account, read="box", regions="lab", poll=1, delivertimeout=20),
        )
        alertmanager = Alertmanager(processes, folder, url)
        target, rules = metrics(running), impatient(RULES.read_text())
        prometheus = Prometheus(
            processes,
            folder / "native",
            target,
            rules,
            alertmanager.address,
            "native-histograms,exemplar-storage",
        )
        classic = Prometheus(
            processes, folder / "classic", target, "groups: []", alertmanager.address, "exemplar-storage"
        )

        def verdict(name: str) -> bool:
            return prometheus.query(f'postbeat_verdict{{verdict="{name}"}} == 1') != {}

        until(lambda: verdict("GOOD"), "GOOD verdict in Prometheus")
        assert prometheus.target()["health"] == "up"
        exposed = get(f"http://{target}/metrics")
        for private in (account.password, account.name, account.address):
            assert private.encode() not in exposed
        until(lambda: exemplar_of_a_poll(prometheus), "exemplar with the id of a poll")
        native_histograms(prometheus)
        until(lambda: exemplar_of_a_poll(classic), "exemplar with the id of a poll")
        assert classic.query('postbeat_stage_duration_seconds_bucket{stage="total",le="+Inf"}')
        monitor_itself(prometheus)
        until(lambda: scrapes(prometheus) >= SCRAPES, f"{SCRAPES} scrapes", 30 + 4 * SCRAPES)
        assert FAILED not in alertmanager.alerts()

        servers.stop("postfix")
        try:
            until(lambda: FAILED in alertmanager.alerts(), "alert in Alertmanager")
            assert prometheus.query('postbeat_failing{cause="send"}') == {
                (("cause", "send"), ("element", "mail"), ("region", "lab")): 1
            }
        finally:
            servers.start()
        until(lambda: FAILED not in alertmanager.alerts(), "end of the alert in Alertmanager")
        until(lambda: ("resolved", *FAILED) in told, "word of the end")
        assert prometheus.query("min_over_time(up[5m])") == {(): 1}, "some scrape failed"
    statuses = [status for status, *alert in told if tuple(alert) == FAILED]
    # On a busy machine the returning server may fail once more: then there is another pair.
    assert statuses == ["firing", "resolved"] * (len(statuses) // 2)


def scrapes(prometheus: Prometheus) -> float:
    """How often it has scraped."""
    return float(prometheus.query("count_over_time(up[5m])").get((), 0))


def exemplar_of_a_poll(prometheus: Prometheus) -> bool:
    """Those of native histograms stand at the histogram, others at a bucket."""
    exemplars = prometheus.exemplars('{__name__=~"postbeat_stage_duration_seconds.*",stage="total"}')
    return any(re.fullmatch(r"mail@lab#\d+", one["labels"]["poll"]) for one in exemplars)


def monitor_itself(prometheus: Prometheus) -> None:
    """Beat and the worker have told of themselves."""
    lab = (("region", "lab"),)
    assert prometheus.query("postbeat_workers") == {lab: 1}
    assert prometheus.query("postbeat_beat_pairs") == {(): 1}
    assert prometheus.query("postbeat_profile_last_reload_successful") == {(): 1}
    until(lambda: prometheus.query("histogram_count(postbeat_queue_wait_seconds)").get(lab), "queue wait")
    until(lambda: prometheus.query("histogram_count(postbeat_beat_lateness_seconds)").get(()), "lateness")
    assert prometheus.query("histogram_count(postbeat_loop_lag_seconds)")[lab] >= 1


def native_histograms(prometheus: Prometheus) -> None:
    """Prometheus took the histograms as native ones, and their sums, counts and buckets agree."""
    of_stage = 'postbeat_stage_duration_seconds{stage="total"}'
    assert prometheus.query("postbeat_stage_duration_seconds_bucket") == {}

    def whole() -> tuple[float, ...]:
        texts = ("histogram_count(x)", "histogram_sum(x) / histogram_count(x)", "histogram_quantile(1, x)")
        found = [prometheus.query(text.replace("x", of_stage)) for text in texts]
        return tuple(value for one in found for value in one.values())

    count, mean_s, longest_s = until(whole, "native histogram")
    assert count >= 1
    assert 0 < mean_s <= longest_s
    assert longest_s < 20

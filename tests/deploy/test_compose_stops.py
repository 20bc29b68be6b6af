"""What `docker-compose stop` does to the services: each gets SIGTERM, and its grace period to end in."""

from __future__ import annotations

from pathlib import Path

from tests.deploy.site import READY_S, running_site
from tests.embedded.conftest import twisted_installed


def test_every_service_ends_on_sigterm_within_its_grace_period(tmp_path: Path) -> None:
    twisted_installed()
    with running_site(tmp_path) as site:
        for name in site.children:
            site.wait_until_healthy(name)
        beat = site.children["beat"]
        beat.wait_for(
            lambda: any(state["counts"]["send"]["GOOD"] for state in site.states().values()), READY_S
        )
        for name in reversed(site.children):
            site.children[name].end()
        codes = {name: child.exit_code for name, child in site.children.items()}
    assert codes == dict.fromkeys(site.compose.services, 0)

"""``postbeat ism``: the files of IBM's Internet Service Monitoring. Each module holds one purpose."""

from __future__ import annotations

import click

from postbeat.cli.lazy import Lazy

_COMMANDS = {
    "import": "postbeat.cli.ism.transfer",
    "export": "postbeat.cli.ism.transfer",
    "props": "postbeat.cli.ism.props",
    "rules": "postbeat.cli.ism.rules",
    "alerts": "postbeat.cli.ism.alerts",
    "bridge": "postbeat.cli.ism.bridge",
}


@click.group(cls=Lazy, modules=_COMMANDS)
def ism() -> None:
    """Reads and writes what Internet Service Monitoring had: profiles, properties, rules and alerts.

    docs/ism.md says where each field, element, property and file of it is here.
    """

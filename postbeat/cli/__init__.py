"""The ``postbeat`` command. Each module of this package holds the commands of one purpose."""

from __future__ import annotations

from importlib import metadata

import click

from postbeat.cli.lazy import Lazy

_COMMANDS = {
    "demo": "postbeat.cli.site",
    "up": "postbeat.cli.site",
    "check": "postbeat.cli.profile",
    "schedule": "postbeat.cli.profile",
    "key": "postbeat.cli.profile",
    "probe": "postbeat.cli.probe",
    "worker": "postbeat.cli.processes",
    "beat": "postbeat.cli.processes",
    "status": "postbeat.cli.show",
    "results": "postbeat.cli.show",
    "events": "postbeat.cli.show",
    "mailboxes": "postbeat.cli.show",
    "report": "postbeat.cli.report",
    "maintenance": "postbeat.cli.maintenance",
    "notify": "postbeat.cli.notify",
    "metrics": "postbeat.cli.metrics",
    "web": "postbeat.cli.web",
    "user": "postbeat.cli.web",
    "monitor": "postbeat.cli.monitor",
    "ism": "postbeat.cli.ism",
}


@click.group(cls=Lazy, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("postbeat"), prog_name="postbeat")
def main() -> None:
    """Measures whether mail really works.

    Postbeat sends a small signed message over SMTP, finds it again in the mailbox over IMAP4 or POP3, from
    several regions at once, and times every stage.

    Try it: postbeat demo
    """

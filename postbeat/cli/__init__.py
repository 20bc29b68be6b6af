"""The ``postbeat`` command. Each module of this package holds the commands of one purpose."""

from __future__ import annotations

import io
import sys
from importlib import metadata

import click

from postbeat.cli.ending import Main

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


@click.group(cls=Main, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("postbeat"), prog_name="postbeat")
def main() -> None:
    """Measures whether mail really works.

    Postbeat sends a small signed message over SMTP, finds it again in the mailbox over IMAP4 or POP3, from
    several regions at once, and times every stage.

    Try it: postbeat demo

    Exit code 0: it is done; 1: what is checked is not valid, or what is named is not there; 2: it cannot be
    done, or not begin, as without a file that is named, and the message says why; 130: broken off by Ctrl-C.
    What follows or serves until Ctrl-C ends with 0, but for monitor and ism bridge. Those of probe and demo
    are the levels of monitoring plugins: 0: GOOD; 1: MARGINAL; 2: FAILED; 3: UNKNOWN, also where it cannot be
    done.
    """
    # A terminal that has no sign for something shows another in its place.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")

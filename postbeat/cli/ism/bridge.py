"""``postbeat ism bridge``."""

from __future__ import annotations

import click


@click.command()
def bridge() -> None:
    """Runs the bridge."""
    raise click.ClickException("not there yet")

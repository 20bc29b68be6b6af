"""``postbeat ism alerts``."""

from __future__ import annotations

import click


@click.command()
def alerts() -> None:
    """Shows alerts."""
    raise click.ClickException("not there yet")

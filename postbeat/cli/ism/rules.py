"""``postbeat ism rules``."""

from __future__ import annotations

import click


@click.command()
def rules() -> None:
    """Checks rules."""
    raise click.ClickException("not there yet")

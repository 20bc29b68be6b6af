"""``postbeat ism props``."""

from __future__ import annotations

import click


@click.command()
def props() -> None:
    """Shows properties."""
    raise click.ClickException("not there yet")

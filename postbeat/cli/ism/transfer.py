"""``postbeat ism import`` and ``export``."""

from __future__ import annotations

import click


@click.command("import")
def import_command() -> None:
    """Imports."""
    raise click.ClickException("not there yet")


@click.command()
def export() -> None:
    """Exports."""
    raise click.ClickException("not there yet")

"""``postbeat monitor``."""

from __future__ import annotations

import click


@click.command()
def monitor() -> None:
    """Runs a monitor."""
    raise click.ClickException("not there yet")


@click.command()
def nco_m_smtp() -> None:
    """Runs it."""
    raise click.ClickException("not there yet")


@click.command()
def nco_m_imap4() -> None:
    """Runs it."""
    raise click.ClickException("not there yet")


@click.command()
def nco_m_pop3() -> None:
    """Runs it."""
    raise click.ClickException("not there yet")

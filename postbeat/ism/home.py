"""The folder of the ISM: ``$ISHOME`` in one edition of the product, ``$ISMHOME`` in another. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_NAMES = ("ISHOME", "ISMHOME")


def home_of(environ: Mapping[str, str]) -> str:
    """The folder; "" where neither name is set."""
    return next((environ[name] for name in _NAMES if environ.get(name)), "")


def with_home(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment, in which the name that is not set stands for the folder of the other."""
    home = home_of(environ)
    return {**environ, **{name: environ.get(name) or home for name in _NAMES if home}}

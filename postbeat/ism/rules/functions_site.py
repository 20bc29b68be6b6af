"""Functions of the process and of the machine it runs on."""

from __future__ import annotations

import os
import platform
import sys

from postbeat.ism.rules.functions_form import Function
from postbeat.ism.rules.machine import Machine
from postbeat.ism.values import Value, as_text


def _getenv(machine: Machine, values: list[Value]) -> Value:
    try:
        return machine.text(machine.environ.get(as_text(values[0]), ""))
    except UnicodeError:  # a name that no variable can have
        return ""


def _hostname(machine: Machine, _values: list[Value]) -> Value:
    return machine.hostname


def _getpid(_machine: Machine, _values: list[Value]) -> Value:
    return os.getpid()


def _getplatform(_machine: Machine, _values: list[Value]) -> Value:
    return _PLATFORM


def _platform() -> str:
    """Linux on Intel has the name that OMNIbus gives it; others are like ``linux-aarch64``."""
    processor = platform.machine()
    if sys.platform == "linux" and processor in ("x86_64", "i386", "i486", "i586", "i686"):
        return "linux2x86"
    return f"{sys.platform}-{processor}"


_PLATFORM = _platform()

SITE = (
    Function("getenv", 1, 1, _getenv, "what the environment variable holds; the empty text without it"),
    Function("hostname", 0, 0, _hostname, "the name of the machine that runs the rules"),
    Function("getpid", 0, 0, _getpid, "the number of the process that runs the rules"),
    Function("getplatform", 0, 0, _getplatform, "the kind of machine, such as linux2x86"),
)

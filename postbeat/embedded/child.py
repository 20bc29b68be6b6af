"""Runs a program that does not outlive its parent: ``child.py PARENT_PID -- PROGRAM ARGUMENT...``.

:mod:`postbeat.embedded.processes` starts every child through this file. It needs nothing but the standard
library, so that it starts fast and in any environment.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # prctl(2)
_CANNOT_START = 127  # what a shell says of a program that cannot be run


def die_with_parent(parent_pid: int) -> bool:
    """Has the kernel kill this process when its parent ends; false where the parent has ended already.

    The signal is SIGKILL: with the parent gone nobody is left to insist. The setting survives exec, and
    grandchildren do not inherit it. Elsewhere than on Linux nothing is done.

    Raises:
        OSError: the kernel refuses.
    """
    if sys.platform != "linux":
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    # A parent that ended before the call above sends no signal any more, but we have another parent then.
    return os.getppid() == parent_pid


def main(arguments: Sequence[str]) -> int:
    """Becomes the program. Returns, with an exit code, only where that is not possible."""
    parent_pid, _, *command = arguments
    try:
        if not die_with_parent(int(parent_pid)):
            return _CANNOT_START
        # Python ignores these two, and what is ignored stays so over exec; the program expects the default.
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(ignored, signal.SIG_DFL)
        os.execvp(command[0], command)  # noqa: S606  no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
    return _CANNOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""A supervisor of child processes: what it starts ends with it, whichever way it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from postbeat.embedded import child as stub

# Bytes at the end of a log that are looked at for its last lines. Protects memory.
_TAIL_BYTES = 16 * 1024
_WAIT_S = 0.02  # between two looks whether a child is ready

_Value = TypeVar("_Value")


def nap() -> None:
    """Lets a moment pass."""
    time.sleep(_WAIT_S)


class EmbeddedError(Exception):
    """Something that runs on this machine for us could not be started; the message is for the user."""


@dataclass(frozen=True, slots=True)
class Child:
    """A child process in a session of its own, and the log that it writes to."""

    name: str
    log: Path
    stop_signal: int
    grace_s: float
    _process: subprocess.Popen[bytes]
    _log_start: int

    @property
    def pid(self) -> int:
        """The process id, which is the id of its session and process group as well."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for the signal that killed it; None while it runs."""
        return self._process.returncode if self._reap(0) else None

    def last_lines(self, count: int = 10) -> str:
        """The last lines that it wrote to its log since it was started."""
        with suppress(OSError), self.log.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(self._log_start, size - _TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
            return "\n".join(lines[-count:])
        return ""

    def how_it_ended(self) -> str:
        """How it ended, with its last words, for people."""
        code = self.exit_code
        if code is None:
            return f"{self.name} is running"
        ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return self._with_last_lines(f"{self.name} {ended}")

    def wait_for(self, condition: Callable[[], _Value | None], deadline_s: float) -> _Value:
        """The first value of ``condition`` that is not None.

        Raises:
            EmbeddedError: the child ended, or the deadline passed; the message has its last log lines.
        """
        deadline = time.monotonic() + deadline_s
        while True:
            value = condition()
            if value is not None:
                return value
            if self.exit_code is not None:
                value = condition()  # it may have come true just before the end
                if value is not None:
                    return value
                raise EmbeddedError(self.how_it_ended())
            if time.monotonic() > deadline:
                late = f"{self.name} was not ready after {deadline_s:.0f} seconds"
                raise EmbeddedError(self._with_last_lines(late))
            time.sleep(_WAIT_S)

    def ask(self) -> None:
        """Asks it to end, and does not wait for that."""
        if not self._reap(0):
            os.kill(self.pid, self.stop_signal)

    def end(self) -> None:
        """Asks it to end, and after the grace time kills it. Nothing of its session is left behind."""
        self.ask()
        self._reap(self.grace_s)
        self.kill()

    def kill(self) -> None:
        """Kills it and all of its session at once."""
        if not self._reap(0):
            _kill_session(self.pid)
            self._reap(None)

    def _reap(self, timeout_s: float | None) -> bool:
        """Whether it has ended within the time; then what it left behind is killed.

        That happens right after it was waited for: until its id is free for another process, the kernel goes
        through all other ids first.
        """
        if self._waited_for():
            return True
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout_s)
        finally:
            if self._waited_for():
                _kill_session(self.pid)
        return self._waited_for()

    def _waited_for(self) -> bool:
        return self._process.returncode is not None

    def _with_last_lines(self, message: str) -> str:
        lines = self.last_lines()
        return f"{message}; the end of {self.log}:\n{lines}" if lines else f"{message}; {self.log} is empty"


class Processes:
    """The children of this process; leaving the context ends them.

    A terminal's Ctrl-C reaches the parent only, as every child has a session of its own. On Linux the
    children also end where the parent is killed. As the kernel understands "parent" as the thread that
    started a child, children must be started by a thread that lives as long as they should.
    """

    def __init__(self) -> None:
        self._children: list[Child] = []
        self._afterwards = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        log: Path,
        stop_signal: int = signal.SIGTERM,
        grace_s: float = 5.0,
    ) -> Child:
        """Starts a child whose output goes to the end of ``log``; ``env`` is all of its environment.

        A program that cannot be run shows as a child with exit code 127 and the reason in its log.

        Raises:
            EmbeddedError: the log cannot be written, or no process can be started.
        """
        command = [sys.executable, "-I", "-S", stub.__file__, str(os.getpid()), "--", *argv]
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                log_start = os.fstat(output).st_size
                process = subprocess.Popen(
                    command,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            finally:
                os.close(output)
        except OSError as error:
            raise EmbeddedError(f"cannot start {name}: {error}") from error
        child = Child(name, log, stop_signal, grace_s, process, log_start)
        self._children.append(child)
        return child

    def poll(self) -> list[Child]:
        """The children that have ended, but by :meth:`end`."""
        return [child for child in self._children if child.exit_code is not None]

    def end(self, *children: Child, meanwhile: Callable[[], object] = nap) -> None:
        """Ends these at the same time, and forgets them; calls ``meanwhile`` again and again until they have.

        What that raises, and another Ctrl-C, kills those that are left.
        """
        try:
            for child in children:
                child.ask()
            deadline_s = time.monotonic() + max((child.grace_s for child in children), default=0)
            while any(child.exit_code is None for child in children) and time.monotonic() < deadline_s:
                meanwhile()
        finally:
            for child in children:
                child.kill()
                self._children.remove(child)

    def after_stop(self, callback: Callable[[], object]) -> None:
        """Has the callback called once all children have ended, the last one given first."""
        self._afterwards.callback(callback)

    def stop(self) -> None:
        """Ends all children, the last one first. Another Ctrl-C while it waits kills those that are left."""
        try:
            for child in reversed(self._children):
                child.end()
        finally:
            for child in reversed(self._children):
                child.kill()
            self._children.clear()
            self._afterwards.close()


def _kill_session(session: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGKILL)
    # Those that have left the group are still in the session. Only Linux lists them.
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            pid = int(entry.name)
            if os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)

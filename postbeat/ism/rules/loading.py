"""Reads rules files from disk, and reads them again when they were changed."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from postbeat.ism.home import with_home
from postbeat.ism.rules import tree
from postbeat.ism.rules.compiling import Compiler
from postbeat.ism.rules.errors import Limits, RulesError, RulesErrors
from postbeat.ism.rules.library import Library
from postbeat.ism.rules.machine import Machine
from postbeat.ism.rules.program import Program
from postbeat.ism.rules.scope import Act, Scope
from postbeat.model import Kind

_HERE = Path(__file__).parent
DEFAULTS: Mapping[Kind, Path] = {kind: _HERE / f"{kind}.rules" for kind in Kind}
WRAPPER = _HERE / "ism.rules"

_LIMITS = Limits()


def load(
    path: Path,
    *,
    environ: Mapping[str, str] = os.environ,
    limits: Limits = _LIMITS,
    now_s: Callable[[], float] = time.time,
) -> Program:
    """The program of a file and of all that it includes.

    ``environ`` is what ``getenv`` and the paths of includes and tables see, with ``$ISHOME`` and
    ``$ISMHOME`` for the same folder; ``now_s`` is the clock of the functions of time, in seconds since the
    epoch.

    Raises:
        RulesErrors: a file cannot be read, or something is wrong with it; all that is wrong at once.
    """
    environ = with_home(environ)
    library = Library(environ, limits)
    source = library.main(path)
    if source is None:
        raise RulesErrors(library.errors)

    run, scope = _compiled(library, source, limits, traced=False)
    if library.errors or scope.errors:
        raise RulesErrors(library.in_order([*library.errors, *scope.errors]))
    machine = Machine(environ=environ, now_s=now_s, hostname=socket.gethostname(), limits=limits)
    machine.arrays = {name: {} for name in scope.arrays}
    machine.default_target = next(iter(scope.targets), "")
    return Program(
        run,
        lambda: _compiled(library, source, limits, traced=True)[0],
        machine,
        library.files,
        [*_whole_warnings(source, scope), *library.in_order(scope.warnings)],
    )


def _whole_warnings(source: tree.Source, scope: Scope) -> list[RulesError]:
    """What is valid, and may not be meant, of the rules as a whole."""
    if "Severity" in scope.assigned:
        return []
    text = (
        "no statement sets @Severity of the alert itself: unless that is discarded, it is 5 where the result"
        " is Failed, 3 Marginal, 2 Unknown and 1 Good"
    )
    return [RulesError(source.name, 0, 0, text)]


def _compiled(library: Library, source: tree.Source, limits: Limits, *, traced: bool) -> tuple[Act, Scope]:
    library.start(Path(source.name))
    scope = Scope(limits, source.name, incomplete=bool(library.errors))
    return Compiler(library, scope, traced=traced).file(source), scope


class Reloader:
    """A program that can be read anew. ``current`` is the last one that was valid.

    Raises:
        RulesErrors: at the start, where the file is not valid.
    """

    def __init__(
        self,
        path: Path,
        *,
        environ: Mapping[str, str] = os.environ,
        limits: Limits = _LIMITS,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._load = partial(load, path, environ=environ, limits=limits, now_s=now_s)
        self.current = self._load()

    def reload(self) -> RulesErrors | None:
        """Reads the files again. The arrays begin empty; where something is wrong all stays as it was."""
        try:
            self.current = self._load()
        except RulesErrors as errors:
            return errors
        return None

"""Compiles the statements of a file, and of those that it includes, to one function of the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from postbeat.ism.rules import assigning, tree
from postbeat.ism.rules.chains import truth
from postbeat.ism.rules.choosing import choosing
from postbeat.ism.rules.declaring import declare
from postbeat.ism.rules.errors import Place, RulesFaultError
from postbeat.ism.rules.expressions import compile_expression, compile_special, no_function
from postbeat.ism.rules.functions import FUNCTIONS
from postbeat.ism.rules.library import Library
from postbeat.ism.rules.machine import Machine
from postbeat.ism.rules.scope import Act, Loop, Run, Scope
from postbeat.ism.rules.special import SPECIAL, element_name
from postbeat.ism.rules.texts import head, line_starts
from postbeat.ism.values import is_true

_IN_A_ROW = 64  # statements, from one look at what the run has used to the next


class _Left(Exception):
    """A ``break`` inside a foreach or a switch."""


class Ended(Exception):
    """A ``break`` outside of both: the rules are done with this result."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A statement, ready to be run, and what running it counts for."""

    act: Act
    steps: int


@dataclass(slots=True)
class _Case:
    labels: tuple[tree.Literal, ...]
    pieces: list[_Piece]
    place: Place


class Compiler:
    """Compiles one file with all that it includes. With ``traced`` each statement notes that it was run."""

    def __init__(self, library: Library, scope: Scope, *, traced: bool) -> None:
        self._library = library
        self._scope = scope
        self._traced = traced
        self._text = ""
        self._line_starts: list[int] = []

    def file(self, source: tree.Source) -> Act:
        """The code of the main file."""
        with self._inside(source):
            if source.cases:
                self._scope.error(source.cases[0], "case stands only in a switch")
            return self._block(Place(source.name, 1, 1), self._pieces(source.statements))

    @contextmanager
    def _inside(self, source: tree.Source) -> Iterator[None]:
        before = self._scope.file, self._text, self._line_starts
        self._scope.file, self._text = source.name, source.text
        self._line_starts = line_starts(source.text) if self._traced else []
        yield
        self._scope.file, self._text, self._line_starts = before

    def _block(self, place: Place, pieces: Sequence[_Piece]) -> Act:
        if not pieces:
            return lambda _machine: None
        if len(pieces) > _IN_A_ROW:
            rows = range(0, len(pieces), _IN_A_ROW)
            pieces = [_Piece(self._block(place, pieces[at : at + _IN_A_ROW]), 0) for at in rows]
        acts = tuple(piece.act for piece in pieces)
        steps = sum(piece.steps for piece in pieces)

        def run(machine: Machine) -> None:
            machine.steps_left -= steps
            if machine.steps_left < machine.look_at:
                try:
                    machine.look()
                except RulesFaultError as fault:
                    raise fault.at(place) from None
            for act in acts:
                act(machine)

        return run

    def _inner(self, node: tree.Statement, body: Sequence[tree.Statement]) -> Act:
        """The code of a block inside a statement."""
        with self._scope.deeper(node) as allowed:
            return self._block(self._scope.place(node), self._pieces(body) if allowed else ())

    def _pieces(self, statements: Sequence[tree.Statement]) -> list[_Piece]:
        pieces: list[_Piece] = []
        for node in statements:
            if isinstance(node, tree.Include):
                pieces += self._included(node)
            elif declare(self._scope, node, self._library.rows):
                continue
            else:
                self._scope.begun = True
                pieces.append(self._noted(node, self._statement(node)))
        return pieces

    def _noted(self, node: tree.Statement, piece: _Piece) -> _Piece:
        if not self._traced:
            return piece
        act = piece.act
        said = head(self._text, self._line_starts, node.line, node.column, node.stop)
        step = (self._scope.file, node.line, said)

        def run(machine: Machine) -> None:
            machine.path.append(step)
            act(machine)

        return _Piece(run, piece.steps)

    def _included(self, node: tree.Include) -> list[_Piece]:
        source = self._library.included(self._scope, node.path)
        if source is None:
            return []
        with self._inside(source):
            if source.cases:
                message = (
                    "case stands only in a switch: a file with cases is included between the cases of one"
                )
                self._scope.error(source.cases[0], message)
            pieces = self._pieces(source.statements)
        self._library.leave()
        return pieces

    def _statement(self, node: tree.Statement) -> _Piece:
        match node:
            case tree.Assign():
                piece = self._assign(node)
            case tree.AssignList():
                piece = _Piece(*assigning.several(self._scope, node))
            case tree.Do():
                piece = self._do(node)
            case tree.If():
                piece = self._if(node)
            case tree.Switch():
                piece = self._switch(node)
            case tree.Foreach():
                piece = self._foreach(node)
            case _:
                piece = _Piece(_leave if self._scope.leaves else _end, 1)
        return piece

    def _assign(self, node: tree.Assign) -> _Piece:
        value = compile_expression(self._scope, node.value)
        return _Piece(assigning.one(self._scope, node.target, value), 1 + value.steps)

    def _do(self, node: tree.Do) -> _Piece:
        call = node.call
        if call.name in SPECIAL:
            code = compile_special(self._scope, call)
        elif call.name in FUNCTIONS:
            code = compile_expression(self._scope, call)
        else:
            self._scope.error(call, no_function(call.name))
            return _Piece(lambda _machine: None, 1)
        run = code.run

        def act(machine: Machine) -> None:
            run(machine)

        return _Piece(act, 1 + code.steps)

    def _if(self, node: tree.If) -> _Piece:
        branches: list[tuple[Run, Act]] = []
        steps = 1
        for condition, body in node.branches:
            code = compile_expression(self._scope, condition)
            steps += code.steps
            branches.append((code.run, self._inner(node, body)))
        otherwise = self._inner(node, node.otherwise)
        if len(branches) == 1:
            return _Piece(_either(*branches[0], otherwise), steps)

        def run(machine: Machine) -> None:
            for condition, then in branches:
                if truth(condition(machine)):
                    then(machine)
                    return
            otherwise(machine)

        return _Piece(run, steps)

    def _switch(self, node: tree.Switch) -> _Piece:
        subject = compile_expression(self._scope, node.subject)
        self._scope.leaves += 1
        with self._scope.deeper(node):
            cases = self._cases(node.before, node.cases)
        self._scope.leaves -= 1
        choose = choosing([(case.labels, self._block(case.place, case.pieces)) for case in cases])
        run_subject = subject.run

        def run(machine: Machine) -> None:
            try:
                choose(run_subject(machine))(machine)
            except _Left:
                return

        return _Piece(run, 1 + subject.steps)

    def _cases(self, before: Sequence[tree.Statement], cases: Sequence[tree.Case]) -> list[_Case]:
        """The cases of a switch, with those of files that are included between them."""
        found: list[_Case] = []
        for node in before:
            if isinstance(node, tree.Include):
                found += self._included_cases(node, None)
            elif not self._scope.incomplete:  # what stands there may have been that of a case
                self._scope.error(
                    node, "expected case or default: a switch has nothing before its first case"
                )
        for case in cases:
            current = _Case(case.labels, [], self._scope.place(case))
            if self._traced:
                current.pieces.append(self._noted(case, _Piece(lambda _machine: None, 0)))
            if not case.labels and any(not one.labels for one in found):
                self._scope.error(case, "a second default: in the same switch")
            found.append(current)
            for node in case.body:
                if isinstance(node, tree.Include):
                    found += self._included_cases(node, current)
                    current = found[-1]
                else:
                    current.pieces += self._pieces([node])
        return found

    def _included_cases(self, node: tree.Include, current: _Case | None) -> list[_Case]:
        """What a file adds to a switch: statements to the case before it, and then cases of its own."""
        source = self._library.included(self._scope, node.path)
        if source is None:
            return []
        with self._inside(source):
            if current is not None:
                current.pieces += self._pieces(source.statements)
                cases = self._cases((), source.cases)
            else:
                cases = self._cases(source.statements, source.cases)
        self._library.leave()
        return cases

    def _foreach(self, node: tree.Foreach) -> _Piece:
        scope = self._scope
        array = self._loop_array(node)
        names = None if array is not None else self._loop_names(node)
        loop = Loop(node.name, len(scope.loops), over_elements=array is None)
        scope.loops.append(loop)
        scope.leaves += 1
        body = self._inner(node, node.body) if loop.slot < scope.limits.nesting else _end
        scope.leaves -= 1
        scope.loops.pop()
        place = scope.place(node)

        def run(machine: Machine) -> None:
            keys = tuple(machine.arrays[array]) if array is not None else names(machine) if names else ()
            try:
                for key in keys:
                    machine.spend(1)
                    machine.loops[loop.slot] = key
                    body(machine)
            except _Left:
                return
            except RulesFaultError as fault:
                raise fault.at(place) from None

        return _Piece(run, 1)

    def _loop_array(self, node: tree.Foreach) -> str | None:
        """The array that a foreach goes over, if it is over one."""
        source = node.sources[0]
        if not isinstance(source, tree.Name) or len(node.sources) > 1:
            return None
        return source.name if self._scope.has_array(source, source.name) else None

    def _loop_names(self, node: tree.Foreach) -> Callable[[Machine], tuple[str, ...]]:
        """The names of the elements that a foreach goes over."""
        named: list[Callable[[Machine], str] | None] = []
        for source in node.sources:
            if isinstance(source, tree.Variable) and source.sign == "$":
                named.append(None if source.name == "*" else element_name(self._scope, source))
            elif not isinstance(source, tree.Name) or len(node.sources) > 1:
                self._scope.error(source, "foreach goes over an array, over $elements, or over $*")

        if all(isinstance(one, tree.Variable) and self._scope.loop(one.name) is None for one in node.sources):
            plain = tuple(one.name for one in node.sources if isinstance(one, tree.Variable))
            if "*" not in plain:
                return lambda _machine: plain

        def names(machine: Machine) -> tuple[str, ...]:
            found: list[str] = []
            for name in named:
                found += machine.elements if name is None else (name(machine),)
            return tuple(found)

        return names


def _leave(_machine: Machine) -> None:
    raise _Left


def _end(_machine: Machine) -> None:
    raise Ended


def _either(condition: Run, then: Act, otherwise: Act) -> Act:
    def run(machine: Machine) -> None:
        value = condition(machine)
        if value if value.__class__ is int else is_true(value):
            then(machine)
        else:
            otherwise(machine)

    return run

"""Functions of targets, further events, services and the log."""

from __future__ import annotations

from collections.abc import Mapping

from postbeat.ism.rules import columns, tree
from postbeat.ism.rules.machine import Machine
from postbeat.ism.rules.scope import NOTHING, Code, Run, Scope
from postbeat.ism.rules.special_form import Compile, Special
from postbeat.ism.values import Value, as_text

LEVELS = {name: name for name in ("DEBUG", "INFO", "WARNING", "ERROR", "FATAL")} | {"WARN": "WARNING"}
STATES = ("good", "marginal", "bad")


def _target(scope: Scope, node: tree.Expression, function: str) -> str | None:
    if not isinstance(node, tree.Name):
        scope.error(node, f"{function} takes the name of a target")
        return None
    if node.name in scope.targets:
        return node.name
    advice = f"expected {node.name} = registertarget(...) before it"
    near = scope.declare_hint(node.name, scope.targets, advice)
    scope.undeclared(node, f"there is no target {node.name}{near}")
    return None


def _target_of_event(scope: Scope, node: tree.Expression) -> str | None:
    """The name of a target; empty for ``""``, which is the target that the alert itself has."""
    if isinstance(node, tree.Literal) and node.value == "":
        return ""
    return _target(scope, node, "genevent")


def _settarget(scope: Scope, call: tree.Call, _compile: Compile) -> Code:
    name = _target(scope, call.arguments[0], "settarget")
    if name is None:
        return NOTHING

    def run(machine: Machine) -> Value:
        machine.target = name
        return ""

    return Code(run, 1)


def _setdefaulttarget(scope: Scope, call: tree.Call, _compile: Compile) -> Code:
    name = _target(scope, call.arguments[0], "setdefaulttarget")
    if name is None:
        return NOTHING

    def run(machine: Machine) -> Value:
        machine.target = machine.default_target = name
        return ""

    return Code(run, 1)


def _registertarget(scope: Scope, call: tree.Call, _compile: Compile) -> Code:
    scope.error(call, "registertarget gives a target its name: expected Name = registertarget(...)")
    return NOTHING


def _genevent(scope: Scope, call: tree.Call, compile_: Compile) -> Code:
    name = _target_of_event(scope, call.arguments[0])
    if len(call.arguments) % 2 == 0:
        scope.error(call, "genevent takes a target, and then @Field, value, @Field, value, ...")
        return NOTHING
    fields: list[tuple[str, Run]] = []
    nodes = 4
    for field, value in zip(call.arguments[1::2], call.arguments[2::2], strict=True):
        if not isinstance(field, tree.Variable) or field.sign != "@":
            scope.error(field, "expected a @Field")
            continue
        scope.sets_field(field, field.name)
        code = columns.fitting(scope, field, compile_(scope, value))
        nodes += code.nodes + 1
        fields.append((field.name, code.run))
    if name is None:
        return NOTHING
    target = name

    def run(machine: Machine) -> Value:
        if len(machine.events) + 1 >= machine.limits.events:
            machine.fault(f"more than {machine.limits.events} events")
        machine.events.append((target, {field: value(machine) for field, value in fields}))
        return ""

    return Code(run, nodes)


def _service(scope: Scope, call: tree.Call, compile_: Compile) -> Code:
    service, state = call.arguments
    named = compile_(scope, service).run
    if isinstance(state, tree.Name):
        word = state.name.lower()
        if word not in STATES:
            scope.error(state, f"expected GOOD, MARGINAL or BAD, got {state.name}")
            return NOTHING
        given: Run = lambda _machine: word  # noqa: E731  the other is not ours to name
    else:
        given = compile_(scope, state).run

    def run(machine: Machine) -> Value:
        word = as_text(given(machine)).lower()
        if word not in STATES:
            machine.fault(f"expected GOOD, MARGINAL or BAD, got {word[:40]!r}")
        if len(machine.services) >= machine.limits.log_lines:
            machine.fault(f"more than {machine.limits.log_lines:,} states of services")
        machine.services.append((as_text(named(machine)), word))
        return ""

    return Code(run, 3)


def _log(scope: Scope, call: tree.Call, compile_: Compile) -> Code:
    *levels, text = call.arguments
    level = "INFO"
    if levels:
        word = levels[0].name if isinstance(levels[0], tree.Name) else ""
        if word not in LEVELS:
            scope.error(levels[0], "expected a level: DEBUG, INFO, WARNING, ERROR or FATAL")
            return NOTHING
        level = LEVELS[word]
    code = compile_(scope, text)
    said = code.run

    def run(machine: Machine) -> Value:
        machine.log(level, as_text(said(machine)))
        return ""

    return Code(run, code.nodes + 2)


EVENTS: Mapping[str, Special] = {
    "genevent": Special(3, None, False, _genevent),
    "log": Special(1, 2, False, _log),
    "registertarget": Special(1, 4, False, _registertarget),
    "service": Special(2, 2, False, _service),
    "setdefaulttarget": Special(1, 1, False, _setdefaulttarget),
    "settarget": Special(1, 1, False, _settarget),
}

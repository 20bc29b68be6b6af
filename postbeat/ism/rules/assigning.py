"""Compiles assignments: to elements, fields, properties and entries of arrays."""

from __future__ import annotations

from collections.abc import Callable

from postbeat.ism.rules import columns, tree
from postbeat.ism.rules.errors import Place, RulesFaultError
from postbeat.ism.rules.expressions import compile_arguments, compile_expression
from postbeat.ism.rules.functions import FUNCTIONS
from postbeat.ism.rules.machine import Machine
from postbeat.ism.rules.scope import Act, Code, Run, Scope
from postbeat.ism.rules.special import element_name, table_of
from postbeat.ism.rules.special_form import arguments_error
from postbeat.ism.values import Value, as_text

_Set = Callable[[Machine, Value], None]
_Rows = Callable[[Machine], tuple[Value, ...] | list[Value]]


def one(scope: Scope, target: tree.Target, value: Code) -> Act:
    """``target = value``. Fields and elements by a plain name are by far the most."""
    if isinstance(target, tree.Variable) and target.sign == "@":
        scope.assigns_field(target, target.name)
        value = columns.fitting(scope, target, value)
    run = value.run
    if isinstance(target, tree.Variable) and target.name != "*":
        name = target.name
        if target.sign == "@" and value.constant is not None:
            return _constant_field(name, value.constant)
        if target.sign == "@":

            def field(machine: Machine) -> None:
                machine.fields[name] = run(machine)

            return field
        if target.sign == "$" and scope.loop(name) is None:

            def element(machine: Machine) -> None:
                machine.elements[name] = run(machine)

            return element
    return _setting(_set(scope, target), run)


def _constant_field(name: str, value: Value) -> Act:
    def field(machine: Machine) -> None:
        machine.fields[name] = value

    return field


def _setting(set_: _Set, run: Run) -> Act:
    def act(machine: Machine) -> None:
        set_(machine, run(machine))

    return act


def _set(scope: Scope, target: tree.Target) -> _Set:
    if isinstance(target, tree.Index):
        return _set_entry(scope, target)
    name = target.name
    if target.sign == "@":
        return lambda machine, value: machine.fields.__setitem__(name, value)
    if target.sign == "%":
        return _set_property(name, scope.place(target))
    if name == "*":
        scope.error(target, "$* cannot be assigned to")
    named = element_name(scope, target)
    return lambda machine, value: machine.elements.__setitem__(named(machine), value)


def _set_property(name: str, place: Place) -> _Set:
    def set_(machine: Machine, value: Value) -> None:
        try:
            machine.set_property(name, value)
        except RulesFaultError as fault:
            raise fault.at(place) from None

    return set_


def _set_entry(scope: Scope, target: tree.Index) -> _Set:
    key = compile_expression(scope, target.key).run
    if not scope.has_array(target, target.array):
        return lambda _machine, _value: None
    name, place = target.array, scope.place(target)

    def set_(machine: Machine, value: Value) -> None:
        try:
            machine.set_entry(name, as_text(key(machine)), value)
        except RulesFaultError as fault:
            raise fault.at(place) from None

    return set_


def several(scope: Scope, node: tree.AssignList) -> tuple[Act, int]:
    """``[target, target] = ...`` and its steps: of a lookup, or of a function that has several results.

    What there is no result for becomes the empty text.
    """
    sets = [_set_one_of_several(scope, target) for target in node.targets]
    rows, steps = _results(scope, node)

    def act(machine: Machine) -> None:
        values = rows(machine)
        for number, set_ in enumerate(sets):
            set_(machine, values[number] if number < len(values) else "")

    return act, 1 + steps + len(sets)


def _set_one_of_several(scope: Scope, target: tree.Target) -> _Set:
    set_ = _set(scope, target)
    if not isinstance(target, tree.Variable) or target.sign != "@":
        return set_
    scope.assigns_field(target, target.name)
    check = columns.checking(scope, target)
    return set_ if check is None else lambda machine, value: set_(machine, check(value))


def _results(scope: Scope, node: tree.AssignList) -> tuple[_Rows, int]:
    call = node.value
    if isinstance(call, tree.Call) and call.name == "lookup":
        return _row(scope, node, call)
    function = FUNCTIONS.get(call.name) if isinstance(call, tree.Call) else None
    if not isinstance(call, tree.Call) or function is None or function.several is None:
        names = ["lookup", *(name for name, known in FUNCTIONS.items() if known.several is not None)]
        scope.error(call, f"[...] = takes what {' or '.join(names)} gives")
        return _no_results, 0
    arguments = compile_arguments(scope, call, function)
    if arguments is None:
        return _no_results, 0
    give, runs, place = function.several, [code.run for code in arguments], scope.place(call)

    def results(machine: Machine) -> list[Value]:
        try:
            return give(machine, [run(machine) for run in runs])
        except RulesFaultError as fault:
            raise fault.at(place) from None

    return results, sum(code.steps for code in arguments)


def _row(scope: Scope, node: tree.AssignList, call: tree.Call) -> tuple[_Rows, int]:
    wrong = arguments_error("lookup", len(call.arguments), 2, 2)
    if wrong:
        scope.error(call, wrong)
        return _no_results, 0
    key, table = compile_expression(scope, call.arguments[0]), table_of(scope, call.arguments[1])
    if table is None:
        return _no_results, 0
    if 0 < table.columns < len(node.targets):
        count = f"{table.columns} value{'s' if table.columns > 1 else ''}"
        message = f"table {table.name} gives {count}, and there are {len(node.targets)} names"
        scope.error(node.targets[table.columns], message)
    run = key.run
    return lambda machine: table.row(run(machine)), key.steps


def _no_results(_machine: Machine) -> tuple[Value, ...]:
    return ()

"""Compiles expressions to functions of the machine: no text is ever evaluated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from postbeat.ism.rules import chains, tree
from postbeat.ism.rules.errors import Place, RulesFaultError
from postbeat.ism.rules.functions import FUNCTIONS, UNSUPPORTED
from postbeat.ism.rules.functions_form import Function, Make
from postbeat.ism.rules.machine import Machine
from postbeat.ism.rules.operators import OPERATORS, negative
from postbeat.ism.rules.scope import NOTHING, Code, Run, Scope, constant, hint
from postbeat.ism.rules.special import SPECIAL
from postbeat.ism.rules.special_form import arguments_error
from postbeat.ism.values import Value, as_text

_CONSTANTS = {"TRUE": 1, "FALSE": 0}
_NO_BILL = 1 << 60  # steps: what is made before the rules run is no run's


def compile_expression(scope: Scope, node: tree.Expression) -> Code:
    """The code of an expression; what is wrong is noted in the scope, and stands for the empty text."""
    with scope.deeper(node) as allowed:
        if not allowed:
            return NOTHING
        if isinstance(node, tree.Literal):
            return constant(node.value)
        compile_ = _COMPILERS[type(node)]
        return compile_(scope, node)


def _variable(scope: Scope, node: tree.Variable) -> Code:
    name = node.name
    if name == "*":
        scope.error(node, "$* stands only in details, nvp_add and foreach")
        return NOTHING
    loop = scope.loop(name) if node.sign == "$" else None
    if loop is not None and loop.over_elements:
        slot = loop.slot
        return Code(lambda machine: machine.elements.get(machine.loops[slot], ""), 1)
    if node.sign == "$":
        return Code(lambda machine: machine.elements.get(name, ""), 1, plain=("$", name))
    if node.sign == "@":
        return Code(lambda machine: machine.fields.get(name, ""), 1, plain=("@", name))
    return Code(lambda machine: machine.properties.get(name, ""), 1)


def _name(scope: Scope, node: tree.Name) -> Code:
    name = node.name
    loop = scope.loop(name)
    if loop is not None:
        slot = loop.slot
        return Code(lambda machine: machine.loops[slot], 1)
    if name in _CONSTANTS:
        return constant(_CONSTANTS[name])
    function = FUNCTIONS.get(name)
    if function is not None and function.least == 0:
        return _call(scope, tree.Call(name, (), node.line, node.column))
    if name in scope.arrays:
        message = f"{name} is an array: expected {name}[key]"
    elif name in scope.tables:
        message = f"{name} is a table: expected lookup(key, {name})"
    elif function is not None or name in SPECIAL:
        message = f"{name} is a function: expected {name}(...)"
    else:
        message = f"{name} is no value: a text needs quotes, an element the sign $"
    scope.undeclared(node, message)
    return NOTHING


def _entry(scope: Scope, node: tree.Index) -> Code:
    key = compile_expression(scope, node.key)
    if not scope.has_array(node, node.array):
        return NOTHING
    name, run = node.array, key.run

    def entry(machine: Machine) -> Value:
        value = run(machine)
        return machine.arrays[name].get(value if value.__class__ is str else as_text(value), "")

    return Code(entry, key.nodes + 2)


def _unary(scope: Scope, node: tree.Unary) -> Code:
    operand = compile_expression(scope, node.operand)
    run = operand.run
    if node.operator == "!":
        return _folded(
            scope, node, [operand], Code(lambda m: 0 if chains.truth(run(m)) else 1, operand.nodes + 1)
        )
    place = scope.place(node)

    def minus(machine: Machine) -> Value:
        try:
            return negative(run(machine))
        except RulesFaultError as fault:
            raise fault.at(place) from None

    return _folded(scope, node, [operand], Code(minus, operand.nodes + 1))


def _folded(scope: Scope, node: tree.Unary | tree.Chain, operands: Sequence[Code], code: Code) -> Code:
    """The code, or its value where all operands are constants."""
    if any(operand.constant is None for operand in operands):
        return code
    try:
        scope.machine.begin({}, {}, {})
        return constant(code.run(scope.machine))
    except RulesFaultError as fault:
        scope.errors.append((fault.place or scope.place(node)).error(fault.message))
        return NOTHING


def _chain(scope: Scope, node: tree.Chain) -> Code:
    first = compile_expression(scope, node.first)
    rest = [compile_expression(scope, one.operand) for one in node.rest]
    nodes = first.nodes + sum(one.nodes + 1 for one in rest)
    signs = {one.operator for one in node.rest}
    runs = (first.run, *(one.run for one in rest))
    if signs == {"&&"}:
        run = chains.all_of(runs)
    elif signs == {"||"}:
        run = chains.any_of(runs)
    elif signs == {"xor"}:
        run = chains.odd_of(runs)
    elif signs == {"+"}:
        run = chains.sum_of([first, *rest], scope.place(node.rest[0]))
    elif len(rest) == 1:
        run = chains.pair_of(node.rest[0].operator, first, rest[0], scope.place(node.rest[0]))
    else:
        run = chains.several_of(runs, [(OPERATORS[one.operator], scope.place(one)) for one in node.rest])
    return _folded(scope, node, [first, *rest], Code(run, nodes))


def _call(scope: Scope, node: tree.Call) -> Code:
    special = SPECIAL.get(node.name)
    if special is not None:
        if not special.gives:
            scope.error(node, f"{node.name} gives no value: it is a statement of its own")
            return NOTHING
        return compile_special(scope, node)
    function = FUNCTIONS.get(node.name)
    if function is None:
        scope.error(node, no_function(node.name))
        return NOTHING
    arguments = compile_arguments(scope, node, function)
    if arguments is None:
        return NOTHING
    nodes = 2 + sum(one.nodes for one in arguments)
    if node.name == "match" and isinstance(arguments[1].constant, str):
        return Code(_matching(arguments[1].constant, arguments[0]), nodes)
    return Code(_calling(function.call, [one.run for one in arguments], scope.place(node)), nodes)


def _matching(text: str, code: Code) -> Run:
    """``match(x, "text")``."""
    run = code.run

    def matches(machine: Machine) -> Value:
        value = run(machine)
        return 1 if (value if value.__class__ is str else as_text(value)) == text else 0

    return matches


def compile_special(scope: Scope, node: tree.Call) -> Code:
    """The code of a call that takes names: lookup, exists, log, ..."""
    special = SPECIAL[node.name]
    wrong = arguments_error(node.name, len(node.arguments), special.least, special.most)
    if wrong:
        scope.error(node, wrong)
        return NOTHING
    code = special.compile(scope, node, compile_expression)
    place, run = scope.place(node), code.run

    def placed(machine: Machine) -> Value:
        try:
            return run(machine)
        except RulesFaultError as fault:
            raise fault.at(place) from None

    return Code(placed, code.nodes)


def compile_arguments(scope: Scope, node: tree.Call, function: Function) -> list[Code] | None:
    """The code of a function's arguments; None where there is something wrong with them."""
    wrong = arguments_error(node.name, len(node.arguments), function.least, function.most)
    if wrong:
        scope.error(node, wrong)
        return None
    arguments = [compile_expression(scope, one) for one in node.arguments]
    if function.makes is not None:
        position, make = function.makes
        arguments[position] = _made(scope, node.arguments[position], arguments[position], make)
    return arguments


def _made(scope: Scope, node: tree.Expression, code: Code, make: Make) -> Code:
    """The code of an argument that something else is made of; of a constant it is made at once."""
    run = code.run
    if code.constant is None:
        return Code(lambda machine: make(machine, run(machine)), code.nodes)
    key, most = (make, as_text(code.constant)), scope.limits.patterns
    if key not in scope.made:
        if len(scope.made) == most:
            scope.error(node, f"more than {most:,} different regular expressions and formats")
        scope.made[key] = _of_constant(scope, node, code.constant, make) if len(scope.made) < most else ""
    made = scope.made[key]
    return Code(lambda _machine: made, 1)


def _of_constant(scope: Scope, node: tree.Expression, value: Value, make: Make) -> object:
    scope.machine.steps_left = _NO_BILL
    try:
        return make(scope.machine, value)
    except RulesFaultError as fault:
        scope.error(node, fault.message)
        return ""


def no_function(name: str) -> str:
    """What to say of a name that is no function's."""
    if name in UNSUPPORTED:
        return f"{name} is not supported: {UNSUPPORTED[name]}"
    known = {*FUNCTIONS, *SPECIAL}
    same = next((one for one in known if one.casefold() == name.casefold()), None)
    return f"there is no function {name}{f'; did you mean {same}?' if same else hint(name, known)}"


def _calling(call: Callable[[Machine, list[Value]], Value], runs: list[Run], place: Place) -> Run:
    if len(runs) == 2:
        first, second = runs

        def two(machine: Machine) -> Value:
            try:
                return call(machine, [first(machine), second(machine)])
            except RulesFaultError as fault:
                raise fault.at(place) from None

        return two

    def run(machine: Machine) -> Value:
        try:
            return call(machine, [one(machine) for one in runs])
        except RulesFaultError as fault:
            raise fault.at(place) from None

    return run


_COMPILERS: Mapping[type, Callable[[Scope, Any], Code]] = {
    tree.Variable: _variable,
    tree.Name: _name,
    tree.Index: _entry,
    tree.Call: _call,
    tree.Unary: _unary,
    tree.Chain: _chain,
}

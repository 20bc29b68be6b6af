"""Functions that take names and not only values: of variables, arrays, tables and name-value pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from postbeat.ism.rules import nvp, tree
from postbeat.ism.rules.machine import PARSED_PER_STEP, Machine
from postbeat.ism.rules.scope import NOTHING, Code, Scope
from postbeat.ism.rules.special_events import EVENTS
from postbeat.ism.rules.special_form import Compile, Special
from postbeat.ism.rules.tables import LookupTable
from postbeat.ism.values import Value, as_text, is_true


def _discard(_scope: Scope, _call: tree.Call, _compile: Compile) -> Code:
    def run(machine: Machine) -> Value:
        machine.discarded = True
        return ""

    return Code(run, 1)


def _recover(_scope: Scope, _call: tree.Call, _compile: Compile) -> Code:
    def run(machine: Machine) -> Value:
        machine.discarded = False
        return ""

    return Code(run, 1)


def element_name(scope: Scope, variable: tree.Variable) -> Callable[[Machine], str]:
    """The name of the element that ``$name`` stands for; in a foreach over elements it is the loop's."""
    loop = scope.loop(variable.name)
    if loop is not None and loop.over_elements:
        slot = loop.slot
        return lambda machine: machine.loops[slot]
    name = variable.name
    return lambda _machine: name


def _exists(scope: Scope, call: tree.Call, compile_: Compile) -> Code:
    argument = call.arguments[0]
    if isinstance(argument, tree.Index):
        if not scope.has_array(argument, argument.array):
            return NOTHING
        name, key = argument.array, compile_(scope, argument.key).run
        return Code(lambda m: 1 if as_text(key(m)) in m.arrays[name] else 0, 3)
    if not isinstance(argument, tree.Variable) or argument.name == "*":
        scope.error(argument, "exists takes $element, @Field, %Property or array[key]")
        return NOTHING
    if argument.sign == "$":
        named = element_name(scope, argument)
        return Code(lambda m: 1 if named(m) in m.elements else 0, 1)
    name = argument.name
    if argument.sign == "@":
        return Code(lambda m: 1 if name in m.fields else 0, 1)
    return Code(lambda m: 1 if name in m.properties else 0, 1)


def _remove(scope: Scope, call: tree.Call, compile_: Compile) -> Code:
    argument = call.arguments[0]
    if isinstance(argument, tree.Index):
        if not scope.has_array(argument, argument.array):
            return NOTHING
        array, key = argument.array, compile_(scope, argument.key).run

        def entry(machine: Machine) -> Value:
            machine.remove_entry(array, as_text(key(machine)))
            return ""

        return Code(entry, 3)
    if not isinstance(argument, tree.Variable) or argument.sign == "%" or argument.name == "*":
        scope.error(argument, "remove takes $element, @Field or array[key]")
        return NOTHING
    named, name, of_elements = element_name(scope, argument), argument.name, argument.sign == "$"

    def run(machine: Machine) -> Value:
        if of_elements:
            machine.elements.pop(named(machine), None)
        else:
            machine.fields.pop(name, None)
        return ""

    return Code(run, 1)


def _update(scope: Scope, call: tree.Call, compile_: Compile) -> Code:
    field = call.arguments[0]
    if not isinstance(field, tree.Variable) or field.sign != "@":
        scope.error(field, "update takes a @Field, and TRUE or FALSE")
        return NOTHING
    wish = compile_(scope, call.arguments[1]).run if len(call.arguments) == 2 else lambda _machine: 1
    name = field.name

    def run(machine: Machine) -> Value:
        machine.changed[name] = is_true(wish(machine))
        return ""

    return Code(run, 2)


def _details(scope: Scope, call: tree.Call, _compile: Compile) -> Code:
    names = []
    for argument in call.arguments:
        if not isinstance(argument, tree.Variable) or argument.sign != "$":
            scope.error(argument, "details takes $elements or $*")
            return NOTHING
        names.append(None if argument.name == "*" else element_name(scope, argument))

    def run(machine: Machine) -> Value:
        for named in names:
            if named is None:
                machine.spend(len(machine.elements) // 8)
                machine.details.update(machine.elements)
            elif (name := named(machine)) in machine.elements:
                machine.details[name] = machine.elements[name]
        return ""

    return Code(run, 1 + len(names))


def table_of(scope: Scope, node: tree.Expression) -> LookupTable | None:
    """The table that is named, with quotes or without."""
    name = (
        node.value if isinstance(node, tree.Literal) else node.name if isinstance(node, tree.Name) else None
    )
    if not isinstance(name, str):
        scope.error(node, "expected the name of a table")
        return None
    if name not in scope.tables:
        advice = f"declare it with table {name} = ... before the first statement"
        scope.undeclared(node, f"there is no table {name}{scope.declare_hint(name, scope.tables, advice)}")
    return scope.tables.get(name)


def _lookup(scope: Scope, call: tree.Call, compile_: Compile) -> Code:
    key, table = compile_(scope, call.arguments[0]), table_of(scope, call.arguments[1])
    if table is None:
        return NOTHING
    rows, run, other = table.rows, key.run, table.default

    def found(machine: Machine) -> Value:
        value = run(machine)
        return rows.get(value if value.__class__ is str else as_text(value), other)[0]

    return Code(found, key.nodes + 2)


def _split(scope: Scope, call: tree.Call, compile_: Compile) -> Code:
    text, into, separator = call.arguments
    if not isinstance(into, tree.Name):
        scope.error(into, "split takes a text, the name of an array, and a separator")
        return NOTHING
    if not scope.has_array(into, into.name):
        return NOTHING
    name, whole, between = into.name, compile_(scope, text).run, compile_(scope, separator).run

    def run(machine: Machine) -> Value:
        mark = as_text(between(machine))
        text = as_text(whole(machine))
        most = machine.limits.array_entries
        parts = text.split(mark, most) if mark else [text]
        machine.spend(len(parts))
        machine.clear_array(name)
        for number, part in enumerate(parts, start=1):
            machine.set_entry(name, str(number), part)
        return len(parts)

    return Code(run, 4)


def _clear(scope: Scope, call: tree.Call, _compile: Compile) -> Code:
    array = call.arguments[0]
    if not isinstance(array, tree.Name):
        scope.error(array, "clear takes the name of an array")
        return NOTHING
    if not scope.has_array(array, array.name):
        return NOTHING
    name = array.name

    def run(machine: Machine) -> Value:
        machine.spend(len(machine.arrays[name]) // 8)
        machine.clear_array(name)
        return ""

    return Code(run, 1)


def _nvp_add(scope: Scope, call: tree.Call, compile_: Compile) -> Code:
    *arguments, last = call.arguments
    if isinstance(last, tree.Variable) and last.name == "*" and len(arguments) <= 1:
        return _nvp_add_everything([compile_(scope, one) for one in arguments])
    if not arguments or len(arguments) % 2:
        scope.error(call, "nvp_add takes $*, or a text of pairs and then name, value, name, value, ...")
        return NOTHING
    codes = [compile_(scope, one) for one in call.arguments]
    before = codes[0].run
    pairs = [(name.run, value.run) for name, value in zip(codes[1::2], codes[2::2], strict=True)]

    def run(machine: Machine) -> Value:
        text = as_text(before(machine))
        for name, value in pairs:
            machine.spend(len(text) // PARSED_PER_STEP)
            text = machine.text(nvp.added(text, as_text(name(machine)), as_text(value(machine))))
        return text

    return Code(run, 2 + sum(one.nodes for one in codes))


def _nvp_add_everything(codes: list[Code]) -> Code:
    before = codes[0].run if codes else lambda _machine: ""

    def run(machine: Machine) -> Value:
        text = as_text(before(machine))
        machine.spend(len(machine.elements) // 8 + len(text) // PARSED_PER_STEP)
        pairs = {name: as_text(value) for name, value in machine.elements.items()}
        machine.hold(sum(map(len, pairs.values())))
        return machine.text(nvp.text_of({**nvp.pairs_of(text), **pairs}))

    return Code(run, 4)


def _nvp_remove(scope: Scope, call: tree.Call, compile_: Compile) -> Code:
    codes = [compile_(scope, one) for one in call.arguments]
    before, *names = (one.run for one in codes)

    def run(machine: Machine) -> Value:
        text = as_text(before(machine))
        machine.spend(len(text) // PARSED_PER_STEP)
        return machine.text(nvp.removed(text, [as_text(one(machine)) for one in names]))

    return Code(run, 2 + sum(one.nodes for one in codes))


SPECIAL: Mapping[str, Special] = {
    **EVENTS,
    "clear": Special(1, 1, False, _clear),
    "details": Special(1, None, False, _details),
    "discard": Special(0, 0, False, _discard),
    "exists": Special(1, 1, True, _exists),
    "lookup": Special(2, 2, True, _lookup),
    "nvp_add": Special(1, None, True, _nvp_add),
    "nvp_remove": Special(2, None, True, _nvp_remove),
    "recover": Special(0, 0, False, _recover),
    "remove": Special(1, 1, False, _remove),
    "split": Special(3, 3, True, _split),
    "update": Special(1, 2, False, _update),
}

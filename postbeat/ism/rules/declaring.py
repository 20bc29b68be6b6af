"""What stands before the first statement: tables, arrays and targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from postbeat.ism.rules import tree
from postbeat.ism.rules.scope import Scope
from postbeat.ism.rules.special import SPECIAL
from postbeat.ism.rules.special_form import arguments_error
from postbeat.ism.rules.tables import table_of
from postbeat.ism.values import Value

Rows = Callable[[Scope, tree.Literal], Sequence[tuple[Value, ...]] | None]


def declare(scope: Scope, node: tree.Statement, rows: Rows) -> bool:
    """Notes what a declaration declares, and what is wrong with it; gives whether it is one."""
    match node:
        case tree.Array():
            if _is_new(scope, node, node.name, "an array"):
                scope.arrays[node.name] = scope.place(node)
        case tree.Table():
            _table(scope, node, rows)
        case tree.AssignName():
            _target(scope, node)
        case _:
            return False
    return True


def _is_new(scope: Scope, node: tree.Statement, name: str, what: str) -> bool:
    if scope.begun:
        scope.error(
            node, f"{what} must stand before the first statement, in the file that includes the others"
        )
        return True  # so that its use is no second error
    for kind, known in (("an array", scope.arrays), ("a table", scope.tables), ("a target", scope.targets)):
        if name in known:
            scope.error(node, f"{name} is {kind} already")
            return False
    return True


def _target(scope: Scope, node: tree.AssignName) -> None:
    call = node.value
    if not isinstance(call, tree.Call) or call.name != "registertarget":
        message = (
            f"{node.name} cannot be assigned to: expected $element, @Field, %Property or array[key] before ="
        )
        scope.error(node, message)
        return
    special = SPECIAL["registertarget"]
    wrong = arguments_error(call.name, len(call.arguments), special.least, special.most)
    if wrong:
        scope.error(call, wrong)
    for argument in call.arguments:
        if isinstance(argument, tree.Literal) and isinstance(argument.value, str):
            continue
        if not isinstance(argument, tree.Variable) or argument.sign != "%":
            scope.error(argument, "registertarget takes texts and %Properties")
    if _is_new(scope, node, node.name, "a target"):
        scope.targets[node.name] = scope.place(node)


def _table(scope: Scope, node: tree.Table, rows_of: Rows) -> None:
    is_new = _is_new(scope, node, node.name, "a table")
    default = [literal.value for literal in node.default]
    if node.path is not None:
        read = rows_of(scope, node.path)
        if read is None:
            return
        rows = read
        columns = len(rows[0]) - 1 if rows else len(default)
    else:
        rows = [tuple(literal.value for literal in row) for row in node.rows]
        columns = _columns(scope, node)
    if len(default) > columns:
        scope.error(node.default[0], f"expected {columns} values for the default, got {len(default)}")
    if is_new:
        scope.tables[node.name] = table_of(node.name, rows, default, columns)


def _columns(scope: Scope, node: tree.Table) -> int:
    """How many values the rows of a table have."""
    width = len(node.rows[0])
    if width < 2:
        scope.error(node.rows[0][0], "expected a key and a value")
    for row in node.rows:
        if len(row) != width:
            scope.error(row[0], f"expected {width} columns, as in the first row, got {len(row)}")
            break
    if len(node.rows) > scope.limits.table_rows:
        scope.error(node, f"more than {scope.limits.table_rows:,} rows")
    return max(width - 1, 1)

"""The compiler of users' functions that take data from outside.

Compiled, such a function f(x, ...) is f((x, data), ...). A pass of Numba's pipeline takes this pair apart, reads each
name from it, and hands functions that f calls their own part. See `outside.py`.
"""

from __future__ import annotations

from typing import Any

from numba import UnsupportedError, types
from numba.extending import is_jitted

from gradopt._compiler.numba_api import rewriting
from gradopt._compiler.outside import Module

ir, guard, get_definition = rewriting.ir, rewriting.guard, rewriting.get_definition

_PAIR = "$with_data"  # how the names of arguments begin that have been given their data


@rewriting.register_pass(mutates_CFG=False, analysis_only=False)
class _ReadData(rewriting.FunctionPass):  # type: ignore[misc]
    """Replace what a function takes from outside by reads from its first argument."""

    _name: Any = "gradopt_read_data"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        slots = getattr(state.func_id.func, "outside_slots", {})
        if not slots:
            return False
        ir_ = state.func_ir
        self._hand_over(state, slots)
        for block in ir_.blocks.values():
            body: list[Any] = []
            for statement in block.body:
                if isinstance(statement, ir.Assign):
                    self._rewrite(state, slots, block.scope, statement, body)
                else:
                    body.append(statement)
            block.body = body
        ir_._definitions = rewriting.build_definitions(ir_.blocks)
        return True

    def _hand_over(self, state: Any, slots: Any) -> None:
        """Take the first argument apart. (The second time, too: data that was not used yet has been removed.)"""
        _require_pair(state, slots)
        block = state.func_ir.blocks[min(state.func_ir.blocks)]
        scope, loc = block.scope, block.loc
        pair, data = (scope.redefine(name, loc) for name in ("$first_and_data", "$data"))
        first_time = not hasattr(state, "gradopt_data")
        state.gradopt_data = data
        name = state.func_ir.arg_names[0]
        body = [ir.Assign(ir.Arg(name, 0, loc), pair, loc), *_item(scope, pair, 1, data, loc)]
        for statement in block.body:
            of_first = isinstance(statement, ir.Assign) and isinstance(statement.value, ir.Arg)
            if first_time and of_first and statement.value.index == 0:
                body += _item(scope, pair, 0, statement.target, loc)
            else:
                body.append(statement)
        block.body = body

    def _rewrite(self, state: Any, slots: Any, scope: Any, statement: Any, body: list[Any]) -> None:
        """Append what stands for an assignment."""
        value, target, loc = statement.value, statement.target, statement.loc
        where = _where(state, value)
        if where in slots and not _is_function(value):
            body += _item(scope, state.gradopt_data, slots[where], target, loc)
        elif isinstance(value, ir.Expr) and value.op == "call":
            called = guard(get_definition, state.func_ir, value.func)
            place = slots.get(_where(state, called)) if _is_function(called) else None
            if place is not None and not (value.args and value.args[0].name.startswith(_PAIR)):
                if not value.args:
                    raise UnsupportedError("a function that takes data from outside needs an argument", loc)
                part, pair = (scope.redefine(name, loc) for name in ("$part", _PAIR))
                body += _item(scope, state.gradopt_data, place, part, loc)
                body.append(ir.Assign(ir.Expr.build_tuple([value.args[0], part], loc), pair, loc))
                value.args = (pair, *value.args[1:])
            body.append(statement)
        elif isinstance(value, (ir.Global, ir.FreeVar)) and isinstance(value.value, Module):
            body.append(ir.Assign(ir.Global(value.name, value.value.module, loc), target, loc))
        else:
            body.append(statement)


def _where(state: Any, value: Any) -> Any:
    """Where a value of the compiler's representation stands, as in `Outside.slots`; None if it is nothing of these."""
    if isinstance(value, ir.Arg):
        omitted = isinstance(state.args[value.index], types.Omitted)
        return ("default", value.index) if omitted else None
    if isinstance(value, ir.Global):
        return "global", value.name
    if isinstance(value, ir.FreeVar):
        return "closure", value.name
    if isinstance(value, ir.Expr) and value.op == "getattr":
        module = guard(get_definition, state.func_ir, value.value)
        if isinstance(module, (ir.Global, ir.FreeVar)) and isinstance(module.value, Module):
            return "attribute", _where(state, module), value.attr
    return None


def _is_function(value: Any) -> bool:
    return isinstance(value, (ir.Global, ir.FreeVar)) and is_jitted(value.value)


def _require_pair(state: Any, slots: dict[Any, int]) -> None:
    """Raise an error unless the first argument is (argument, data): a call may have escaped the rewriting."""
    first = state.args[0]
    inner: Any = getattr(first, "types", ())
    if len(inner) != 2 or len(getattr(inner[1], "types", ())) != max(slots.values()) + 1:
        raise UnsupportedError("a function that takes data from outside can only be called by its name")


def _item(scope: Any, source: Any, place: int, target: Any, loc: Any) -> list[Any]:
    """The statements target = source[place]."""
    index = scope.redefine("$place", loc)
    number = ir.Assign(ir.Const(place, loc), index, loc)
    return [number, ir.Assign(ir.Expr.static_getitem(source, place, index, loc), target, loc)]


class TakesOutside(rewriting.CompilerBase):  # type: ignore[misc]
    """Numba's pipeline for a function that takes data from outside.

    The pass runs again when functions inside the function have become part of it.
    """

    def define_pipelines(self) -> list[Any]:
        pipeline = rewriting.DefaultPassBuilder.define_nopython_pipeline(self.state)
        for after in (rewriting.IRProcessing, rewriting.InlineClosureLikes):
            pipeline.add_pass_after(_ReadData, after)
        pipeline.finalize()
        return [pipeline]

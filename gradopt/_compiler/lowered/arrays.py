"""Arrays in compiled loops, without reference counts and on the stack.

The functions are lowered directly, so that the stack frame is the caller's. Overloads with inline="always" do not
work: Numba then removes writes to arrays that a function returned and nobody reads again, as to a borrowed history.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import lower_builtin, type_callable

from gradopt._compiler.arrays import borrowed, copy_back, matrix, on_stack, repeated, slice_of
from gradopt._compiler.numba_api import lowering

ir, cgutils, make_array, populate_array = lowering.ir, lowering.cgutils, lowering.make_array, lowering.populate_array

_Tuple: Any = types.BaseTuple  # heterogeneous, uniform and named ones


def _without_owner(context: Any, builder: Any, numba_type: Any, value: Any) -> Any:
    if isinstance(numba_type, types.Array):
        array = make_array(numba_type)(context, builder, value)
        array.meminfo = cgutils.get_null_value(array.meminfo.type)
        array.parent = cgutils.get_null_value(array.parent.type)
        return array._getvalue()
    if isinstance(numba_type, _Tuple):
        for position, item_type in enumerate(numba_type.types):
            item = _without_owner(context, builder, item_type, builder.extract_value(value, position))
            value = builder.insert_value(value, item, position)
    elif context.data_model_manager[numba_type].contains_nrt_meminfo():
        raise TypeError(f"kernels can't borrow a {numba_type}, but numbers, arrays and tuples of these")
    return value


def _off_stack(context: Any, builder: Any, static_length: int, numba_type: Any, target: Any, source: Any) -> None:
    if isinstance(numba_type, _Tuple):
        for position, item_type in enumerate(numba_type.types):
            items = builder.extract_value(target, position), builder.extract_value(source, position)
            _off_stack(context, builder, static_length, item_type, *items)
        return
    data = [make_array(numba_type)(context, builder, array).data for array in (target, source)]
    for position in range(static_length):
        index = [context.get_constant(types.intp, position)]
        builder.store(builder.load(builder.gep(data[1], index)), builder.gep(data[0], index))


def _on_stack(context: Any, builder: Any, static_length: int, numba_type: Any, value: Any) -> Any:
    if isinstance(numba_type, _Tuple):
        for position, item_type in enumerate(numba_type.types):
            item = _on_stack(context, builder, static_length, item_type, builder.extract_value(value, position))
            value = builder.insert_value(value, item, position)
        return value
    item_type = context.get_data_type(numba_type.dtype)
    source = make_array(numba_type)(context, builder, value).data
    target = builder.bitcast(
        cgutils.alloca_once(builder, ir.ArrayType(item_type, static_length)), item_type.as_pointer()
    )
    for position in range(static_length):
        index = [context.get_constant(types.intp, position)]
        builder.store(builder.load(builder.gep(source, index)), builder.gep(target, index))
    array = make_array(numba_type)(context, builder)
    item_size = context.get_constant(types.intp, context.get_abi_sizeof(item_type))
    populate_array(
        array,
        data=target,
        shape=[context.get_constant(types.intp, static_length)],
        strides=[item_size],
        itemsize=item_size,
        meminfo=None,
    )
    return array._getvalue()


@type_callable(borrowed)
def _borrowed(context):
    return lambda value: value


@lower_builtin(borrowed, types.Any)
def _lower_borrowed(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return _without_owner(context, builder, signature.args[0], arguments[0])


@type_callable(on_stack)
def _on_stack_type(context):
    return lambda static_length, array: array


@lower_builtin(on_stack, types.none, types.Any)
def _lower_not_on_stack(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return _without_owner(context, builder, signature.args[1], arguments[1])


@lower_builtin(on_stack, types.UniTuple, types.Any)
def _lower_on_stack(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return _on_stack(context, builder, len(signature.args[0]), signature.args[1], arguments[1])


@type_callable(matrix)
def _matrix(context):
    return lambda vector, start, rows, columns: vector.copy(ndim=2, layout="C", readonly=False)


@type_callable(repeated)
def _repeated(context):
    return lambda vector, start, rows, columns: vector.copy(ndim=2, layout="A")


@lower_builtin(repeated, types.Array, types.Integer, types.Integer, types.Integer)
@lower_builtin(matrix, types.Array, types.Integer, types.Integer, types.Integer)
def _lower_matrix(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    start, rows, columns = _as_indices(context, builder, signature, arguments)
    item_size = _item_size(context, signature)
    strides = [_row_stride(context, builder, signature, columns, item_size), item_size]
    return _view_of(context, builder, signature, arguments[0], start, [rows, columns], strides)


def _row_stride(context: Any, builder: Any, signature: Any, columns: Any, item_size: Any) -> Any:
    repeats = signature.return_type.layout == "A"
    return context.get_constant(types.intp, 0) if repeats else builder.mul(columns, item_size)


@type_callable(slice_of)
def _slice_of(context):
    return lambda vector, start, length: vector


@lower_builtin(slice_of, types.Array, types.Integer, types.Integer)
def _lower_slice_of(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    start, length = _as_indices(context, builder, signature, arguments)
    return _view_of(context, builder, signature, arguments[0], start, [length], [_item_size(context, signature)])


@lower_builtin(slice_of, _Tuple, types.Integer, types.Integer)
def _lower_slices_of(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    value = arguments[0]
    for position, item_type in enumerate(signature.args[0].types):
        item = builder.extract_value(arguments[0], position)
        of_item = item_type(item_type, *signature.args[1:])
        value = builder.insert_value(
            value, _lower_slice_of(context, builder, of_item, [item, *arguments[1:]]), position
        )
    return value


def _as_indices(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """The arguments after the vector, as intp."""
    given = zip(arguments[1:], signature.args[1:], strict=True)
    return [context.cast(builder, value, numba_type, types.intp) for value, numba_type in given]


def _item_size(context: Any, signature: Any) -> Any:
    item_type = context.get_data_type(signature.args[0].dtype)
    return context.get_constant(types.intp, context.get_abi_sizeof(item_type))


def _view_of(
    context: Any, builder: Any, signature: Any, vector: Any, start: Any, shape: list[Any], strides: list[Any]
) -> Any:
    """The array that begins at `start` of a vector, without owner."""
    array = make_array(signature.return_type)(context, builder)
    populate_array(
        array,
        data=builder.gep(make_array(signature.args[0])(context, builder, vector).data, [start]),
        shape=shape,
        strides=strides,
        itemsize=_item_size(context, signature),
        meminfo=None,
    )
    return array._getvalue()


@type_callable(copy_back)
def _copy_back(context):
    return lambda static_length, target, source: types.void


@lower_builtin(copy_back, types.UniTuple, types.Any, types.Any)
def _lower_copy_back(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    _off_stack(context, builder, len(signature.args[0]), signature.args[1], arguments[1], arguments[2])
    return context.get_dummy_value()


@lower_builtin(copy_back, types.none, types.Any, types.Any)
def _lower_copy_back_in_place(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    _, numba_type, _ = signature.args
    if isinstance(numba_type, types.Array):  # tuples of arrays are where they were
        target, source = (make_array(numba_type)(context, builder, array) for array in arguments[1:])
        cgutils.raw_memmove(builder, target.data, source.data, target.nitems, target.itemsize)
    return context.get_dummy_value()

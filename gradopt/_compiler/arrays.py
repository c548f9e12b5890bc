"""Arrays inside compiled loops: without reference counts, and in registers where they are small.

Numba counts references to arrays with atomic instructions, at several nanoseconds each. A loop whose caller keeps all
arrays alive does not need that: it works on `borrowed` values. Arrays whose length the compiler knows can live on the
stack, from where LLVM moves their elements into registers: `on_stack`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.imputils import impl_ret_borrowed
from numba.extending import intrinsic, lower_builtin, overload, type_callable
from numba.np.arrayobj import make_array, populate_array

from gradopt._compiler.kernel import INLINE, INSIDE, STRICT

_Tuple: Any = types.BaseTuple  # heterogeneous, uniform and named ones


def borrowed(value: Any) -> Any:
    """The same array or (named) tuple of arrays without ownership, valid while the caller keeps it alive."""
    return value


def on_stack(static_length: tuple[int, ...] | None, array: Any) -> Any:
    """A copy of an array, or of a tuple of arrays, in the caller's stack frame.

    Parameters
    ----------
    static_length : tuple of n numbers, or None
        The length n of the tuple is that of every array; None leaves the arrays where they are, without ownership.
    array : array (n,), C order, or tuple of such arrays
        Read.
    """
    return array


def matrix(vector: Any, start: int, rows: int, columns: int) -> Any:
    """The matrix (rows, columns), C order, that begins at `start` of a C-order array; without ownership or checks."""
    return vector.reshape(-1)[start : start + rows * columns].reshape(rows, columns)


def slice_of(vector: Any, start: int, length: int) -> Any:
    """The elements of a C-order vector, or of each in a tuple, from `start` on; without ownership or checks."""
    if isinstance(vector, tuple):
        return tuple(item[start : start + length] for item in vector)
    return vector[start : start + length]


def repeated(vector: Any, start: int, rows: int, columns: int) -> Any:
    """The matrix (rows, columns) whose rows are all vector[start : start + columns]; read only, with a stride of 0."""
    if rows == 0:  # the vector may be too short then
        return vector[:0].reshape(0, columns)
    return np.broadcast_to(vector[start : start + columns], (rows, columns))


def in_place(X: Any, rows: Any, like: Any) -> Any:
    """Some rows of a matrix as a matrix without copy or ownership; a matrix of 0 rows where that is not possible.

    Parameters
    ----------
    X : array (m, n)
        Must be in C order.
    rows : int64 array
        Must be consecutive.
    like : float array, C order
        X must have its dtype.
    """
    consecutive = np.array_equal(rows, rows[:1] + np.arange(rows.size))
    return X[rows[0] : rows[0] + rows.size] if consecutive and X.dtype == like.dtype else X[:0]


def copied(value: Any) -> Any:
    """The same (named) tuple with a copy of each array in it; numbers stay as they are."""
    if isinstance(value, tuple):
        items = [copied(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return value.copy() if isinstance(value, np.ndarray) else value


def zeros_for(count: tuple[int, ...], array: Any) -> tuple[Any, ...]:
    """A tuple of arrays of zeros like `array`, one per item of `count`."""
    return tuple(np.zeros_like(array) for _ in count)


def swapped(static_length: tuple[int, ...] | None, first: Any, second: Any) -> tuple[Any, Any]:
    """Two arrays with the contents of `second` and of `first`.

    Large arrays swap names. Arrays on the stack swap contents: they would not stay in registers if one name could mean
    either of them.
    """
    return second, first


def copy_back(static_length: tuple[int, ...] | None, target: Any, source: Any) -> None:
    """Copy an array or tuple of arrays from `source`, which the loop holds, to `target`, which its caller holds."""
    if not isinstance(source, tuple):
        target[:] = source


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


# These functions are lowered directly, so that the stack frame is the caller's. Overloads with inline="always" do not
# work: Numba then removes writes to arrays that a function returned and nobody reads again, as to a borrowed history.


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


@overload(in_place, jit_options=STRICT | INSIDE)
def _in_place(X, rows, like):
    if X.layout != "C" or X.dtype != like.dtype:
        return lambda X, rows, like: matrix(like, 0, 0, X.shape[1])

    def if_consecutive(X, rows, like):
        gaps = 0
        for i in range(rows.size):
            gaps += rows[i] != rows[0] + i
        return matrix(X, rows[0] * X.shape[1], rows.size if gaps == 0 else 0, X.shape[1])

    return if_consecutive


@overload(zeros_for)
def _zeros_for(count, array):
    if len(count) == 0:
        return lambda count, array: ()
    return lambda count, array: (np.zeros_like(array), *zeros_for(count[1:], array))


@overload(copied)
def _copied(value):
    if isinstance(value, types.Array):
        return lambda value: value.copy()
    if not isinstance(value, _Tuple):
        return lambda value: value
    if isinstance(value, types.BaseNamedTuple):
        return lambda value: _of_class(value, copied(_plain(value)))
    if len(value) == 0:
        return lambda value: ()
    return lambda value: (copied(value[0]), *copied(value[1:]))


@intrinsic
def _plain(typing_context: Any, named: Any) -> Any:
    """A named tuple as a tuple."""
    return types.Tuple(named.types)(named), _as_tuple


@intrinsic
def _of_class(typing_context: Any, named: Any, plain: Any) -> Any:
    """A tuple as an instance of the class of `named`."""
    return named(named, plain), _as_tuple


def _as_tuple(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    items = cgutils.unpack_tuple(builder, arguments[-1])
    value = context.make_tuple(builder, signature.return_type, items)
    return impl_ret_borrowed(context, builder, signature.return_type, value)


@overload(swapped, jit_options=STRICT | INLINE)
def _swapped(static_length, first, second):
    if isinstance(static_length, types.NoneType):
        return lambda static_length, first, second: (second, first)

    def swapped(static_length, first, second):
        for j in range(first.size):
            first[j], second[j] = second[j], first[j]
        return first, second

    return swapped

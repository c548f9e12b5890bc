"""The innermost part of a matrix product: one tile of the result, in vector registers.

LLVM does not turn Numba's loops for a product into code that keeps a tile of the result in registers. So this part is
written directly in LLVM instructions on vectors, as wide as the processor's registers.
"""

from __future__ import annotations

from typing import Any

import numba
from numba import types
from numba.extending import intrinsic

from gradopt._compiler.numba_api import lowering

ir, make_array = lowering.ir, lowering.make_array


def _registers() -> tuple[int, int]:
    """(bytes of a vector register, rows of a tile) for this processor; other values would only be slower."""
    if numba.config.CPU_NAME:  # type: ignore[attr-defined]  # may be compiled for another processor
        return 16, 4
    features = lowering.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 8
    if features.get("avx2"):
        return 32, 4
    return 16, 8 if features.get("neon") else 4


VECTOR_BYTES, TILE_ROWS = _registers()

_index, _lane, _byte_pointer = ir.IntType(64), ir.IntType(32), ir.IntType(8).as_pointer()


@intrinsic(prefer_literal=True)
def _tile(
    typing_context: Any, rows: Any, vectors: Any, partial: Any, c: Any, first: Any, a: Any, b: Any, i: Any, j: Any
) -> Any:
    """Write one tile of c = first + a b, the one that begins at [i, j].

    c[i + r, j + v] = first[i + r, j + v] + sum over t of a[i + r, t] b[t, j + v] for r < rows and all columns j + v of
    the tile. The sum is taken in the order of t with fused multiplications, so that a result does not depend on the
    tile it lies in.

    rows, vectors : literal int, the size of the tile; a vector has VECTOR_BYTES
    partial : literal int; 0: c has all columns of the tile; 1: c may end before, and nothing beyond is touched
    first : array (m, n), may be c itself; read, rows contiguous; or an array without elements, for 0
    c, a, b : arrays (m, n), (m, k), (k, n) of one dtype, k at least 1; written, read, read; rows of c and b contiguous
    i, j : int
    """
    sizes = rows.literal_value, vectors.literal_value, bool(partial.literal_value)
    signature = types.void(rows, vectors, partial, c, first, a, b, types.intp, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        arrays = [
            make_array(array_type)(context, builder, array)
            for array_type, array in zip(signature.args[3:7], arguments[3:7], strict=True)
        ]
        item = context.get_data_type(signature.args[3].dtype)
        vector = _Vector(builder, item, VECTOR_BYTES // context.get_abi_sizeof(item))
        _generate(builder, vector, sizes, arrays, *arguments[7:])
        return context.get_dummy_value()

    return signature, generate


def _generate(builder: Any, vector: _Vector, sizes: tuple[int, int, bool], arrays: Any, i: Any, j: Any) -> None:
    rows, vectors, partial = sizes
    c, first, a, b = arrays
    left = builder.sub(builder.extract_value(c.shape, 1), j)
    steps = builder.extract_value(b.shape, 0)
    masks = [vector.mask(left, v) if partial else None for v in range(vectors)]
    tile = [(r, v) for r in range(rows) for v in range(vectors)]

    def element(array: Any, row: Any, column: Any) -> Any:
        strides = (builder.extract_value(array.strides, axis) for axis in range(2))
        offset = builder.add(*map(builder.mul, (row, column), strides))
        byte = builder.gep(builder.bitcast(array.data, _byte_pointer), [offset])
        return builder.bitcast(byte, array.data.type)

    def row_of(array: Any, r: int) -> Any:
        return element(array, builder.add(i, _index(r)), j)

    before = builder.block
    adding, loop, end = (builder.append_basic_block(f"tile.{name}") for name in ("add", "loop", "end"))
    builder.cbranch(builder.icmp_signed("==", first.nitems, _index(0)), loop, adding)
    builder.position_at_end(adding)
    begun = {(r, v): vector.load(row_of(first, r), v, masks[v]) for r, v in tile}
    builder.branch(loop)

    builder.position_at_end(loop)
    t = builder.phi(_index)
    sums = {place: builder.phi(vector.type) for place in tile}
    row = [vector.load(element(b, t, j), v, masks[v]) for v in range(vectors)]
    column = [vector.all(builder.load(element(a, builder.add(i, _index(r)), t))) for r in range(rows)]
    new = {(r, v): vector.multiply_add(column[r], row[v], sums[r, v]) for r, v in tile}
    next_t = builder.add(t, _index(1))
    for block, count, values in (
        (before, _index(0), dict.fromkeys(tile, vector.zero)),
        (adding, _index(0), begun),
        (loop, next_t, new),
    ):
        t.add_incoming(count, block)
        for place in tile:
            sums[place].add_incoming(values[place], block)
    builder.cbranch(builder.icmp_signed("<", next_t, steps), loop, end)

    builder.position_at_end(end)
    for r, v in tile:
        vector.store(new[r, v], row_of(c, r), v, masks[v])


class _Vector:
    """Instructions on vectors of one type."""

    def __init__(self, builder: Any, item: Any, width: int) -> None:
        self.type, self._builder, self._width = ir.VectorType(item, width), builder, width
        self.zero = ir.Constant(self.type, [0.0] * width)
        self._suffix = f"v{width}{'f32' if isinstance(item, ir.FloatType) else 'f64'}"
        self._mask_type = ir.VectorType(ir.IntType(1), width)
        self._alignment = 4 if isinstance(item, ir.FloatType) else 8

    def _call(self, name: str, result: Any, arguments: list[Any]) -> Any:
        name = f"llvm.{name}.{self._suffix}" + (".p0" if "masked" in name else "")
        function = self._builder.module.globals.get(name)
        if function is None:
            function_type = ir.FunctionType(result, [argument.type for argument in arguments])
            function = ir.Function(self._builder.module, function_type, name)
        return self._builder.call(function, arguments)

    def _place(self, pointer: Any, v: int) -> Any:
        return self._builder.bitcast(self._builder.gep(pointer, [_index(v * self._width)]), self.type.as_pointer())

    def all(self, value: Any) -> Any:
        """The vector with this number in every lane."""
        nothing = ir.Constant(ir.VectorType(value.type, self._width), ir.Undefined)
        first = self._builder.insert_element(nothing, value, _lane(0))
        return self._builder.shuffle_vector(
            first, nothing, ir.Constant(ir.VectorType(_lane, self._width), [0] * self._width)
        )

    def mask(self, columns: Any, v: int) -> Any:
        """The mask of the lanes of vector number v that are among the first `columns`."""
        numbers = ir.Constant(ir.VectorType(_index, self._width), list(range(v * self._width, (v + 1) * self._width)))
        return self._builder.icmp_signed("<", numbers, self.all(columns))

    def load(self, pointer: Any, v: int, mask: Any) -> Any:
        """Load vector number v from the pointer on; lanes that the mask leaves out are 0."""
        if mask is None:
            value = self._builder.load(self._place(pointer, v))
            value.align = self._alignment
            return value
        arguments = [self._place(pointer, v), _lane(self._alignment), mask, self.zero]
        return self._call("masked.load", self.type, arguments)

    def store(self, value: Any, pointer: Any, v: int, mask: Any) -> None:
        """Store a vector to where `load` reads it."""
        if mask is None:
            self._builder.store(value, self._place(pointer, v)).align = self._alignment
        else:
            arguments = [value, self._place(pointer, v), _lane(self._alignment), mask]
            self._call("masked.store", ir.VoidType(), arguments)

    def multiply_add(self, x: Any, y: Any, z: Any) -> Any:
        """The vector x y + z, rounded once."""
        return self._call("fma", self.type, [x, y, z])


tile: Any = _tile  # its first parameter is the typing context, which callers do not give

"""The names of `lowered` on Numba's public interface alone: what Numba makes of Python, slower but right."""

from gradopt._compiler.plain import arrays as arrays
from gradopt._compiler.plain.by_address import TupleInMemory, address_of, call_at, unpacking
from gradopt._compiler.plain.external import by_reference, of_complex, of_numbers
from gradopt._compiler.plain.subnormals import flushing
from gradopt._compiler.plain.tile import TILE_ROWS, VECTOR_BYTES, tile

__all__ = [
    "TILE_ROWS",
    "VECTOR_BYTES",
    "TupleInMemory",
    "address_of",
    "by_reference",
    "call_at",
    "flushing",
    "of_complex",
    "of_numbers",
    "tile",
    "unpacking",
]

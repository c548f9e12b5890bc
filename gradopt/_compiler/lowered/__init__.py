"""What gradopt tells LLVM directly, past Numba's compiler of Python. `plain` has the same names without that."""

from gradopt._compiler.lowered import arrays as arrays
from gradopt._compiler.lowered.by_address import TupleInMemory, address_of, call_at, unpacking
from gradopt._compiler.lowered.external import by_reference, of_complex, of_numbers
from gradopt._compiler.lowered.subnormals import flushing
from gradopt._compiler.lowered.tile import TILE_ROWS, VECTOR_BYTES, tile

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

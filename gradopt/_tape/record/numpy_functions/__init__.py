"""NumPy's functions for traced arrays, in terms of the operations of a graph: all of them are in FUNCTIONS."""

from gradopt._tape.record.numpy_functions import elementwise, moves, products, sums
from gradopt._tape.record.numpy_functions.registry import FUNCTIONS

__all__ = ["FUNCTIONS", "elementwise", "moves", "products", "sums"]

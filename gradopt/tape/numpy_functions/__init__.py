"""NumPy's functions for traced arrays, in terms of the operations of a tape; importing it makes them known."""

from gradopt.tape.numpy_functions import elementwise, methods, moves, products, sums

__all__ = ["elementwise", "methods", "moves", "products", "sums"]

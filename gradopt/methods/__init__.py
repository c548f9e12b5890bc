"""Descent methods: one file a family, the equation above its kernel."""

from gradopt.methods.base import Method, MethodState, as_method
from gradopt.methods.sgd import SGD

__all__ = ["SGD", "Method", "MethodState", "as_method"]

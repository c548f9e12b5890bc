"""Descent methods: one file a family, the equation above its kernel."""

from gradopt.methods.adadelta import Adadelta
from gradopt.methods.adagrad import Adagrad
from gradopt.methods.adam import Adam, Adamax, AdamW, NAdam, RAdam
from gradopt.methods.base import Method, MethodState, as_method
from gradopt.methods.lion import Lion
from gradopt.methods.rmsprop import RMSprop
from gradopt.methods.rprop import Rprop
from gradopt.methods.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Method",
    "MethodState",
    "NAdam",
    "RAdam",
    "RMSprop",
    "Rprop",
    "as_method",
]

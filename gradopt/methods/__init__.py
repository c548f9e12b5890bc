"""Descent methods: one file per family, with the equations at the top."""

from gradopt.methods.adadelta import Adadelta
from gradopt.methods.adagrad import Adagrad
from gradopt.methods.adam import Adam, Adamax, AdamW, NAdam, RAdam
from gradopt.methods.base import FirstOrderMethod, LineSearchMethod, Method, MethodState, as_method
from gradopt.methods.bfgs import BFGS
from gradopt.methods.conjugate_gradient import NonlinearCG
from gradopt.methods.lbfgs import LBFGS
from gradopt.methods.levenberg_marquardt import LevenbergMarquardt
from gradopt.methods.lion import Lion
from gradopt.methods.nelder_mead import NelderMead
from gradopt.methods.rmsprop import RMSprop
from gradopt.methods.rprop import Rprop
from gradopt.methods.sgd import SGD
from gradopt.methods.trust_region import TrustRegion

__all__ = [
    "BFGS",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "FirstOrderMethod",
    "LevenbergMarquardt",
    "LineSearchMethod",
    "Lion",
    "Method",
    "MethodState",
    "NAdam",
    "NelderMead",
    "NonlinearCG",
    "RAdam",
    "RMSprop",
    "Rprop",
    "TrustRegion",
    "as_method",
]

"""Gradient descent and quasi-Newton methods, with the whole loop in machine code.

optimize          minimise a problem, or a function of one's own
problems          ready-made problems: Rosenbrock, Quadratic, DoubleWell, MGH; PolynomialFit, CurveFit; Classifier,
                  Regressor
Network, Dense    dense networks
methods           LBFGS, NonlinearCG; SGD, Adagrad, Adadelta, RMSprop, Rprop, Adam, AdamW, Adamax, NAdam, RAdam,
                  Lion; each is a method for scipy.optimize.minimize too
schedules         Constant, InverseTimeDecay, ExponentialDecay, StepDecay, PiecewiseConstant, PolynomialDecay,
                  CosineDecay, CosineWarmRestarts, OneCycle, Cyclic, Warmup, Join, per_epoch, ReduceOnPlateau
RetryFromBest     what to do when a run diverges
trace             a function of NumPy arrays as a problem with an exact gradient, not compiled; else a TraceError
check_gradient    a gradient against finite differences
every, checkpoint a callback for each n-th update; one that saves the run; load reads it
compiled, descend the loop as a function for one's own compiled code
plot              pictures of runs, problems and schedules (needs matplotlib)
OptimizeResult    what `optimize` returns; its `status` is a Status, its `history` a History
"""

from gradopt import plot, problems
from gradopt._api.check_gradient import GradientCheck, check_gradient
from gradopt._api.descend import compiled, descend
from gradopt._api.optimize import optimize
from gradopt._core.status import Status
from gradopt._network import Dense, Network
from gradopt._results.history import History
from gradopt._results.result import OptimizeResult, load
from gradopt._run.callbacks import checkpoint, every
from gradopt._run.recovery import RetryFromBest
from gradopt._tape.record.errors import TraceError
from gradopt.integrations import scipy as _scipy
from gradopt.methods import (
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Lion,
    Method,
    NAdam,
    NonlinearCG,
    RAdam,
    RMSprop,
    Rprop,
)
from gradopt.problems.functions.tracing import trace
from gradopt.schedules import (
    Constant,
    CosineDecay,
    CosineWarmRestarts,
    Cyclic,
    ExponentialDecay,
    InverseTimeDecay,
    Join,
    OneCycle,
    PiecewiseConstant,
    PolynomialDecay,
    ReduceOnPlateau,
    StepDecay,
    Warmup,
    per_epoch,
)

__version__ = "0.1.0"

# scipy calls a method of one's own with its arguments; what runs it stands above the methods.
Method.minimizer = staticmethod(_scipy.minimize)

__all__ = [
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Constant",
    "CosineDecay",
    "CosineWarmRestarts",
    "Cyclic",
    "Dense",
    "ExponentialDecay",
    "GradientCheck",
    "History",
    "InverseTimeDecay",
    "Join",
    "Lion",
    "NAdam",
    "Network",
    "NonlinearCG",
    "OneCycle",
    "OptimizeResult",
    "PiecewiseConstant",
    "PolynomialDecay",
    "RAdam",
    "RMSprop",
    "ReduceOnPlateau",
    "RetryFromBest",
    "Rprop",
    "Status",
    "StepDecay",
    "TraceError",
    "Warmup",
    "check_gradient",
    "checkpoint",
    "compiled",
    "descend",
    "every",
    "load",
    "optimize",
    "per_epoch",
    "plot",
    "problems",
    "trace",
]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

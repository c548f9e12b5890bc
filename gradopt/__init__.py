"""Gradient descent and quasi-Newton methods, with the whole loop in machine code.

optimize          minimise a problem or your own function
problems          ready-made problems: Rosenbrock, Quadratic, DoubleWell, MGH; PolynomialFit, CurveFit, LeastSquares;
                  Classifier, Regressor
Network, Dense    dense networks
estimators        MLPClassifier and MLPRegressor for scikit-learn (needs scikit-learn)
methods           LBFGS, NonlinearCG; LevenbergMarquardt for sums of squares; SGD, Adagrad, Adadelta, RMSprop,
                  Rprop, Adam, AdamW, Adamax, NAdam, RAdam, Lion; scipy.optimize.minimize takes them as `method` too
schedules         Constant, InverseTimeDecay, ExponentialDecay, StepDecay, PiecewiseConstant, PolynomialDecay,
                  CosineDecay, CosineWarmRestarts, OneCycle, Cyclic, Warmup, Join, per_epoch, ReduceOnPlateau
RetryFromBest     recovery of a run that diverges
curve_fit         fits a model to data, as scipy.optimize.curve_fit, with exact derivatives and honest errors
fit_many          fits a model to many data sets at once, each with its own status and errors
optimize_many     many runs, from other starts or on other data; multistart draws starts within bounds
least_squares     scipy.optimize.least_squares, argument by argument, with exact derivatives
trace             turns a NumPy function into a problem with an exact gradient, without compiling, or raises TraceError
check_gradient    compares a gradient with finite differences
every, checkpoint callbacks: one for each n-th update, and one that saves the run; load reads the file
compiled, descend the loop as a function for your own compiled code
plot              plots of runs, problems and schedules (needs matplotlib)
OptimizeResult    the result of `optimize`; its `status` is a Status, its `history` a History
Interrupted       Ctrl-C during a run, with the result so far
"""

import importlib
from typing import Any

from gradopt import plot, problems
from gradopt._api.check_gradient import GradientCheck, check_gradient
from gradopt._api.contour import contour
from gradopt._api.curve_fit import curve_fit
from gradopt._api.descend import compiled, descend
from gradopt._api.fit_many import fit_many
from gradopt._api.least_squares import least_squares
from gradopt._api.optimize import optimize
from gradopt._api.optimize_many import multistart, optimize_many
from gradopt._api.profile import profile
from gradopt._api.uncertainty import uncertainty
from gradopt._core.status import Status
from gradopt._network import Dense, Network
from gradopt._results.curve_fit_result import CurveFitResult, FitError
from gradopt._results.history import History
from gradopt._results.least_squares_result import LeastSquaresResult
from gradopt._results.many_fits import ManyFits
from gradopt._results.many_results import ManyResults
from gradopt._results.profile import Contour, Profile
from gradopt._results.result import Interrupted, OptimizeResult, load
from gradopt._results.uncertainty import Uncertainty
from gradopt._run.callbacks import checkpoint, every
from gradopt._run.recovery import RetryFromBest
from gradopt._tape.record.errors import TraceError
from gradopt.integrations import scipy as _scipy
from gradopt.methods import (
    BFGS,
    LBFGS,
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    LevenbergMarquardt,
    Lion,
    Method,
    NAdam,
    NelderMead,
    NonlinearCG,
    RAdam,
    RMSprop,
    Rprop,
    TrustRegion,
)
from gradopt.plot import fits as _fits
from gradopt.plot import profiles as _profiles
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

CurveFitResult.plotter = staticmethod(_fits.fitted_curve)
Profile.plotter = staticmethod(_profiles.profile)
Contour.plotter = staticmethod(_profiles.contour)

# scipy.optimize.minimize calls a custom method object; the code that runs it is in a layer above the methods.
Method.minimizer = staticmethod(_scipy.minimize)

__all__ = [
    "BFGS",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Constant",
    "Contour",
    "CosineDecay",
    "CosineWarmRestarts",
    "CurveFitResult",
    "Cyclic",
    "Dense",
    "ExponentialDecay",
    "FitError",
    "GradientCheck",
    "History",
    "Interrupted",
    "InverseTimeDecay",
    "Join",
    "LeastSquaresResult",
    "LevenbergMarquardt",
    "Lion",
    "ManyFits",
    "ManyResults",
    "NAdam",
    "NelderMead",
    "Network",
    "NonlinearCG",
    "OneCycle",
    "OptimizeResult",
    "PiecewiseConstant",
    "PolynomialDecay",
    "Profile",
    "RAdam",
    "RMSprop",
    "ReduceOnPlateau",
    "RetryFromBest",
    "Rprop",
    "Status",
    "StepDecay",
    "TraceError",
    "TrustRegion",
    "Uncertainty",
    "Warmup",
    "check_gradient",
    "checkpoint",
    "compiled",
    "contour",
    "curve_fit",
    "descend",
    "every",
    "fit_many",
    "least_squares",
    "load",
    "multistart",
    "optimize",
    "optimize_many",
    "per_epoch",
    "plot",
    "problems",
    "profile",
    "trace",
    "uncertainty",
]


def __getattr__(name: str) -> Any:
    if name == "estimators":  # which need scikit-learn
        return importlib.import_module("gradopt.estimators")
    raise AttributeError(f"module 'gradopt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]

"""Minimise, fit and train, with the whole loop in machine code.

I have                          I use
a function of NumPy arrays      optimize(fun, x0, bounds=...); its gradient is exact where the function can be traced
data and a model                curve_fit(f, x, y): scipy's arguments, exact derivatives, honest errors
residuals                       least_squares(fun, x0), problems.LeastSquares
a model and many data sets      fit_many(f, x, Y, p0): each fit with its own status and errors
many starts                     multistart(fun, bounds), optimize_many(fun, X0)
a likelihood                    problems.SumOfTerms(terms, x0), then uncertainty, profile, contour
rows and labels                 estimators.MLPClassifier, MLPRegressor (need scikit-learn)
rows and a network              Network, problems.Classifier, problems.Regressor; optimize(..., batch_size=32, ...)
a loop of my own in Numba       compiled, descend
a class of my own               gradopt.extend

problems     Rosenbrock, Quadratic, DoubleWell, MGH; PolynomialFit, CurveFit, LeastSquares, SumOfTerms; Classifier,
             Regressor
methods      LBFGS, BFGS, NonlinearCG, TrustRegion, LevenbergMarquardt, NelderMead; SGD, Adagrad, Adadelta, RMSprop,
             Rprop, Adam, AdamW, Adamax, NAdam, RAdam, Lion; scipy.optimize.minimize takes them as `method` too
schedules    Constant, InverseTimeDecay, ExponentialDecay, StepDecay, PiecewiseConstant, PolynomialDecay, CosineDecay,
             CosineWarmRestarts, OneCycle, Cyclic, Warmup, Join, per_epoch, ReduceOnPlateau
results      OptimizeResult, with a Status, a History and a state to go on from; save and load; CurveFitResult,
             ManyFits, ManyResults, Uncertainty, Profile
on the way   trace, check_gradient, every, checkpoint, RetryFromBest, plot
errors       FitError, TraceError, Interrupted (Ctrl-C, with the result so far)

Each of them has a docstring with its equation, its arguments and an example: help(gradopt.optimize).
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

__version__ = "0.2.0"

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

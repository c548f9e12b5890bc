"""Problems to minimise: one file per problem, with its source and known minimum."""

from gradopt.problems.base import Problem
from gradopt.problems.classics.double_well import DoubleWell
from gradopt.problems.classics.mgh import MGH
from gradopt.problems.classics.quadratic import Quadratic
from gradopt.problems.classics.rosenbrock import Rosenbrock
from gradopt.problems.fits.curve_fit import CurveFit
from gradopt.problems.fits.least_squares import LeastSquares
from gradopt.problems.fits.polynomial_fit import PolynomialFit
from gradopt.problems.fits.sum_of_terms import SumOfTerms
from gradopt.problems.functions.traced import Traced
from gradopt.problems.networks.classifier import Classifier
from gradopt.problems.networks.regressor import Regressor
from gradopt.problems.networks.shape_classifier import shape_classifier
from gradopt.problems.rows import RowProblem

__all__ = [
    "MGH",
    "Classifier",
    "CurveFit",
    "DoubleWell",
    "LeastSquares",
    "PolynomialFit",
    "Problem",
    "Quadratic",
    "Regressor",
    "Rosenbrock",
    "RowProblem",
    "SumOfTerms",
    "Traced",
    "shape_classifier",
]

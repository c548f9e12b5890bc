"""Problems to minimise: one file a problem, its source and known minimum beside it."""

from gradopt.problems.base import Problem
from gradopt.problems.classifier import Classifier
from gradopt.problems.curve_fit import CurveFit
from gradopt.problems.double_well import DoubleWell
from gradopt.problems.mgh import MGH
from gradopt.problems.polynomial_fit import PolynomialFit
from gradopt.problems.quadratic import Quadratic
from gradopt.problems.regressor import Regressor
from gradopt.problems.rosenbrock import Rosenbrock
from gradopt.problems.rows import RowProblem
from gradopt.problems.shape_classifier import shape_classifier
from gradopt.problems.traced import Traced

__all__ = [
    "MGH",
    "Classifier",
    "CurveFit",
    "DoubleWell",
    "PolynomialFit",
    "Problem",
    "Quadratic",
    "Regressor",
    "Rosenbrock",
    "RowProblem",
    "Traced",
    "shape_classifier",
]

"""Problems to minimise: one file a problem, its source and known minimum beside it."""

from gradopt.problems.base import Problem
from gradopt.problems.double_well import DoubleWell
from gradopt.problems.polynomial_fit import PolynomialFit
from gradopt.problems.quadratic import Quadratic
from gradopt.problems.rosenbrock import Rosenbrock

__all__ = ["DoubleWell", "PolynomialFit", "Problem", "Quadratic", "Rosenbrock"]

"""Multilayer perceptrons as scikit-learn estimators, trained in machine code (needs scikit-learn).

They have the parameters, attributes and defaults of sklearn.neural_network.MLPClassifier and MLPRegressor, give the
same network for the same seed, to rounding, and add what those refuse: validation losses, class weights, dropout,
frozen layers, activations by layer, other losses and solvers, callbacks.
"""

try:
    import sklearn as _sklearn  # noqa: F401
except ImportError:
    raise ImportError('gradopt.estimators needs scikit-learn: pip install "gradopt[sklearn]"') from None

from gradopt.estimators.classifier import MLPClassifier
from gradopt.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]

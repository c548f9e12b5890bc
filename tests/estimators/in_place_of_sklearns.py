"""A plugin for pytest: scikit-learn's own tests find our classes in place of its own."""

import sklearn.neural_network

import gradopt.estimators

sklearn.neural_network.MLPClassifier = gradopt.estimators.MLPClassifier
sklearn.neural_network.MLPRegressor = gradopt.estimators.MLPRegressor

"""A grid search over digits by scikit-learn's perceptron and by ours: same seed, same scores. Writes estimators.png."""

import time
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn import neural_network
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

from gradopt import estimators

plt.style.use("gradopt.plot.style")
warnings.simplefilter("ignore", ConvergenceWarning)  # 40 epochs are few, for both
X, y = load_digits(return_X_y=True)
X, X_held, y, y_held = train_test_split(X, y, test_size=0.25, random_state=0, stratify=y)
GRID = {"mlp__alpha": [1e-4, 1e-2, 1.0], "mlp__hidden_layer_sizes": [(16,), (32,)]}


def searched(module):
    """The grid search with the MLPClassifier of a module, and its seconds."""
    model = module.MLPClassifier(solver="adam", learning_rate_init=0.01, max_iter=40, random_state=0)
    started = time.perf_counter()
    search = GridSearchCV(Pipeline([("scale", MinMaxScaler()), ("mlp", model)]), GRID, cv=5).fit(X, y)
    return search, time.perf_counter() - started


searched(estimators)  # compiled once
searches = {"scikit-learn": searched(neural_network), "gradopt": searched(estimators)}
for name, (search, seconds) in searches.items():
    print(f"{name:13s} {seconds:5.2f} s  {search.best_params_}  held out {search.score(X_held, y_held):.4f}")

theirs, ours = (search.cv_results_["mean_test_score"] for search, _ in searches.values())
print(f"largest difference of the scores: {np.abs(theirs - ours).max():.4f}")
best = {name: search.best_estimator_[-1] for name, (search, _) in searches.items()}
apart = [np.abs(one - other).max() for one, other in zip(*(model.coefs_ for model in best.values()), strict=True)]
print(f"largest difference of the weights: {max(apart):.0e}")

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
for name, style in (("scikit-learn", {"linewidth": 6, "color": "C4"}), ("gradopt", {"linewidth": 1.5, "color": "k"})):
    left.plot(best[name].loss_curve_, label=name, **style)
left.set(title="the best network, refitted", xlabel="epoch", ylabel="training loss", yscale="log")
left.legend()
bars = right.bar(list(searches), [seconds for _, seconds in searches.values()], color=["C4", "k"], width=0.5)
right.bar_label(bars, fmt="%.2f s", padding=3)
right.set(title="31 fits: 6 settings in 5 folds, and the best again", ylabel="seconds")
right.margins(y=0.12)
figure.savefig("estimators.png", dpi=100)
print("wrote estimators.png")

"""A rare class: class weights, early stopping on validation loss, calibrated probabilities. Writes imbalanced.png."""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import balanced_accuracy_score, brier_score_loss
from sklearn.model_selection import train_test_split

from gradopt.estimators import MLPClassifier

plt.style.use("gradopt.plot.style")
X, y = make_classification(
    12_000, n_features=12, n_informative=5, weights=[0.9], class_sep=0.8, flip_y=0.02, random_state=3
)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0, stratify=y)
X, X_held, y, y_held = train_test_split(X, y, test_size=0.35, random_state=1, stratify=y)

settings = {"hidden_layer_sizes": (32, 16), "early_stopping": True, "monitor": "validation_loss", "max_iter": 300}
models = {
    "plain": MLPClassifier(**settings, random_state=0),
    "class_weight": MLPClassifier(**settings, class_weight="balanced", random_state=0),
}
for model in models.values():
    model.fit(X, y, validation=(X_held, y_held))
calibrated = CalibratedClassifierCV(FrozenEstimator(models["class_weight"])).fit(X_held, y_held)
models["class_weight, calibrated"] = calibrated

print(f"{y.mean():.1%} of the rows are of the rare class")
for name, model in models.items():
    probability = model.predict_proba(X_test)[:, 1]
    found = np.mean(model.predict(X_test)[y_test == 1])
    balanced = balanced_accuracy_score(y_test, model.predict(X_test))
    brier = brier_score_loss(y_test, probability)
    print(f"{name:26s} finds {found:.1%} of them, balanced accuracy {balanced:.3f}, Brier score {brier:.4f}")

colors = {"plain": "C0", "class_weight": "C1", "class_weight, calibrated": "C2"}
figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.6), layout="constrained")
for name in ("plain", "class_weight"):
    curve = models[name].validation_loss_curve_
    best = int(np.argmin(curve))
    left.plot(np.arange(1, len(curve) + 1), curve, color=colors[name], label=name)
    left.plot(best + 1, curve[best], "o", color=colors[name], label=f"best of {name}: epoch {best + 1}")
left.set(title="early stopping on the validation rows", xlabel="epoch", ylabel="loss of the validation rows")
left.legend(loc="upper right")

for name, model in models.items():
    share, predicted = calibration_curve(y_test, model.predict_proba(X_test)[:, 1], n_bins=8)
    right.plot(predicted, share, "o-", color=colors[name], label=name)
right.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="probabilities that come true")
right.set(title="test rows by predicted probability", xlabel="predicted probability", ylabel="share of the rare class")
right.legend(loc="upper left")
figure.savefig("imbalanced.png", dpi=100)
print("wrote imbalanced.png")

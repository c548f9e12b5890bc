"""A neuron learns from one mistake: the three-sample example, step by step. Writes shape_classifier.png."""

import matplotlib.pyplot as plt
import numpy as np

from gradopt import SGD, optimize, problems

plt.style.use("gradopt.plot.style")
RATE = 1e-7
problem = problems.shape_classifier()
network, X, y = problem.network, problem.X, problem.y

print("sample            target  output    loss  gradient of the weights     weights afterwards")
w, before = problem.x0.copy(), problem.x0.copy()
for i in range(3):
    output = network.forward(w, X[i : i + 1])  # forward: relu(x w)
    error = output - y[i]
    loss = 0.5 * float(error[0, 0]) ** 2
    gradient, _ = network.backward(w, X[i : i + 1], error)  # backward: the slope of relu, times x
    w -= RATE * gradient  # update
    sample = "(" + ", ".join(f"{value:.0f}" for value in X[i]) + ")"
    row = f"{sample:18} {y[i, 0]:5.0f} {abs(output[0, 0]):7.3f} {loss:7.5f}"
    print(row, f"({', '.join(f'{value:6.0f}' for value in gradient + 0)})", " ", w.round(9))

print("\nchange of the weights:", (w - before).round(12))
result = optimize(problem, method=SGD(RATE), batch_size=1, epochs=1, shuffle=False)
print("the same by optimize, one sample at a time:", np.array_equal(result.x, w))

outputs = problem.predict(result.x, X)
print("new outputs:", outputs.round(6), " losses:", (0.5 * (outputs - y[:, 0]) ** 2).round(6))
print("classes at threshold 0.5:", (outputs > 0.5).astype(int))

figure, panels = plt.subplots(1, 4, figsize=(11, 4), layout="constrained", width_ratios=(4, 1, 1, 1))
left, places = panels[0], np.arange(3)
left.bar(places - 0.2, problem.predict(before, X), 0.4, label="before")
left.bar(places + 0.2, outputs, 0.4, label="after one epoch")
left.plot(places, y[:, 0], "k_", markersize=40, label="target")
left.axhline(0.5, color="0.5", linestyle=":", label="threshold")
left.set(ylabel="output", xticks=places, xticklabels=[f"sample {i + 1}" for i in places])
for i, panel in enumerate(panels[1:]):  # a scale for each: w1 is twenty times as large as the others
    panel.bar(["before", "after"], [1e3 * before[i], 1e3 * result.x[i]], color=["C0", "C1"])
    panel.axhline(0.0, color="k", linewidth=0.8)
    panel.set(title=f"w{i + 1}", ylabel="weight, in thousandths")
figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, markerscale=0.4)
figure.savefig("shape_classifier.png", dpi=100)
print("wrote shape_classifier.png")

"""The learning flow written out for a 16-8-4-2 network, then the same by SGD. Writes by_hand.png."""

import matplotlib.pyplot as plt
import numpy as np

from gradopt import SGD, Network, optimize, problems

plt.style.use("gradopt.plot.style")
RATE, BATCH, EPOCHS = 0.2, 32, 60

rng = np.random.default_rng(3)
X = rng.normal(size=(256, 16))
y = (np.sum(X[:, :8] ** 2, axis=1) > np.sum(X[:, 8:] ** 2, axis=1)).astype(int)  # which half is longer

network = Network.mlp([16, 8, 4, 2], activation="tanh")
problem = problems.Classifier(network, X, y)
start = network.init(rng=0)

theta, orders, losses, norms = start.copy(), np.random.default_rng(1), [], []
for epoch in range(EPOCHS):
    total = 0.0
    for rows in problem.batches(BATCH, rng=orders):  # 1. draw a batch
        outputs = network.forward(theta, X[rows])  # 2. forward
        exponentials = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        p = exponentials / exponentials.sum(axis=1, keepdims=True)
        total -= np.log(p[np.arange(len(rows)), y[rows]]).sum()  # 3. loss: cross-entropy
        d_outputs = (p - np.eye(2)[y[rows]]) / len(rows)  # 4. its gradient at the outputs ...
        gradient, _ = network.backward(theta, X[rows], d_outputs)  # ... and backward through the layers
        layers = network.layers_of(gradient)
        for (W, b), (dW, db) in zip(network.layers_of(theta), layers, strict=True):
            W -= RATE * dW  # 5. update: the views change theta
            b -= RATE * db
    losses.append(total / len(X))
    norms.append([np.linalg.norm(dW) for dW, _ in layers])
    if epoch in (0, EPOCHS - 1):
        print(f"epoch {epoch + 1}, loss {losses[-1]:.6f}; gradients of its last batch:")
        for number, (dW, db) in enumerate(layers):
            print(f"  layer {number}: dW {dW.shape} of norm {np.linalg.norm(dW):.6f}, db {db.round(6)}")

result = optimize(problem, start, method=SGD(RATE), batch_size=BATCH, epochs=EPOCHS, rng=1)
print(f"by hand {losses[-1]:.12f}, by SGD {result.history.fun[-1]:.12f}")
print("the same weights, to rounding:", np.allclose(result.x, theta, rtol=1e-9, atol=1e-12))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
epochs = np.arange(1, EPOCHS + 1)
left.plot(epochs, losses, color="C4", linewidth=5, label="by hand")
left.plot(epochs, result.history.fun, "k--", linewidth=1, label="by optimize, with SGD(0.2)")
left.set(xlabel="epoch", ylabel="mean cross-entropy of the epoch's rows")
left.legend()
right.plot(epochs, norms, label=["layer 0, 16 to 8", "layer 1, 8 to 4", "layer 2, 4 to 2"])
right.set(xlabel="epoch", ylabel="norm of dW in the epoch's last batch", ylim=(0, 1.15 * np.max(norms)))
right.legend(loc="upper left")
figure.savefig("by_hand.png", dpi=100)
print("wrote by_hand.png")

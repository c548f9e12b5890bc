"""Gradient descent in seven steps, by hand: the loop that `optimize` runs in machine code. Writes training_loop.png.

The step by hand and the compiled loop use the same kernels, so they end at the same numbers, to the last bit.
"""

import time

import matplotlib.pyplot as plt
import numpy as np

from gradopt import SGD, InverseTimeDecay, optimize, problems

# 1. A problem: data, model and loss. Here a parabola through noisy points.
t = np.linspace(-1.0, 1.0, 20)
y = 2.0 * t**2 - t + 0.5 + 0.1 * np.random.default_rng(1).normal(size=t.size)
problem = problems.PolynomialFit(t, y)

# 2. A method with its learning rate, and 3. a start.
method = SGD(InverseTimeDecay(0.3, decay=0.001), momentum=0.5)
x = np.zeros(3)
state = method.init(x)

started = time.perf_counter()
losses = []
for _ in range(1000):
    # 4. Evaluate the loss and, going backward, its gradient.
    loss, grad = problem.value_and_grad(x)
    losses.append(loss)
    # 5. Stop when the gradient vanishes.
    if np.abs(grad).max() <= 1e-5:
        break
    # 6. Update the parameters: x <- x - rate * (gradient with momentum).
    method.step(x, grad, state)
    # 7. Repeat.
by_hand = time.perf_counter() - started

optimize(problem, method=method, max_iter=1)  # compiles, or loads what an earlier process compiled
started = time.perf_counter()
result = optimize(problem, method=method, max_iter=1000)
compiled = time.perf_counter() - started

print(f"by hand   x = {x}  loss {losses[-1]:.8f}  {state.nit} steps  {by_hand * 1e3:.2f} ms (first calls included)")
print(f"optimize  x = {result.x}  loss {result.fun:.8f}  {result.nit} steps  {compiled * 1e3:.2f} ms")
print("same bits:", bool((x == result.x).all()))

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(t, y, "o", t, np.polyval(x, t))
left.set(title="the fit", xlabel="t", ylabel="y")
right.semilogy(losses, linewidth=4, color="0.8", label="by hand")
right.semilogy(result.history.fun, label="optimize")
right.set(title="the loss", xlabel="step")
right.legend()
figure.savefig("training_loop.png", dpi=110)
print("wrote training_loop.png")

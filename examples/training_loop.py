"""Gradient descent in seven steps by hand, and by `optimize`: the same bits. Writes training_loop.png."""

import time

import matplotlib.pyplot as plt
import numpy as np

from gradopt import SGD, InverseTimeDecay, optimize, problems

# 1. A problem: data, model and loss. Here a parabola through noisy points.
t = np.linspace(-1.0, 1.0, 20)
y = 2.0 * t**2 - t + 0.5 + 0.1 * np.random.default_rng(1).normal(size=t.size)
problem = problems.PolynomialFit(t, y)

# 2. A method with its learning rate.
method = SGD(InverseTimeDecay(0.3, decay=0.001), momentum=0.5)


def by_hand():
    x, losses = np.zeros(3), []  # 3. A start.
    state = method.init(x)
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
    return x, losses


def timed(run):
    run()  # compiles, or loads what an earlier process compiled
    started = time.perf_counter()
    return run(), 1e3 * (time.perf_counter() - started)


(x, losses), slow = timed(by_hand)
result, fast = timed(lambda: optimize(problem, method=method, max_iter=1000))
print(f"by hand   x = {x}  loss {losses[-1]:.8f}  {len(losses) - 1} steps  {slow:.2f} ms, once compiled")
print(f"optimize  x = {result.x}  loss {result.fun:.8f}  {result.nit} steps  {fast:.2f} ms, once compiled")
print("same bits:", bool((x == result.x).all()))

plt.style.use("gradopt.plot.style")
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
left.plot(t, y, "o", color="0.35", label="data")
left.plot(t, np.polyval(x, t), color="C0", label="parabola")
left.set(xlabel="t", ylabel="y")
left.legend()
right.semilogy(losses, linewidth=5, color="C4", label="by hand")
right.semilogy(result.history.fun, "k--", linewidth=1, label="by optimize")
right.set(xlabel="step", ylabel="mean squared error")
right.legend()
figure.savefig("training_loop.png", dpi=110)
print("wrote training_loop.png")

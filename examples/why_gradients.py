"""Why gradients: trying one weight at a time against backpropagation, as networks grow. Writes why_gradients.png."""

import timeit

import matplotlib.pyplot as plt
import numpy as np

from gradopt import SGD, Network, optimize, problems

plt.style.use("gradopt.plot.style")
rng = np.random.default_rng(0)
X = rng.uniform(-1, 1, size=(200, 2))
y = np.sin(3 * X[:, 0]) * X[:, 1]
STEP, EVALUATIONS = 0.02, 3000


def one_weight_at_a_time(problem, theta):
    """Move each weight in turn a little up or down, if that helps; the losses after each evaluation."""
    theta, loss = theta.copy(), problem.value(theta)
    losses = [loss]
    while len(losses) < EVALUATIONS:
        for i in range(theta.size):
            for step in (STEP, -STEP):
                theta[i] += step
                tried = problem.value(theta)
                losses.append(min(tried, loss))
                if tried < loss:
                    loss = tried
                    break
                theta[i] -= step
    return np.array(losses[:EVALUATIONS])


def seconds(function, theta):
    return np.median(timeit.repeat(lambda: function(theta), number=5, repeat=9)) / 5


figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 4.5), layout="constrained")
costs = []
print("weights   to look at each weight   one gradient    loss after as many evaluations")
for number, width in enumerate((2, 8, 32, 128)):
    problem = problems.Regressor(Network.mlp([2, width, 1], activation="tanh"), X, y)
    theta = problem.start(rng=1)
    costs.append((problem.n, problem.n * seconds(problem.value, theta), seconds(problem.value_and_grad, theta)))
    naive = one_weight_at_a_time(problem, theta)
    descent = optimize(problem, theta, method=SGD(0.1, momentum=0.9), max_iter=EVALUATIONS - 1, gtol=0).history.fun
    cost = f"{1e3 * costs[-1][1]:16.2f} ms   {1e3 * costs[-1][2]:9.3f} ms"
    print(f"{problem.n:7}   {cost}   {naive[-1]:.5f}, {descent[-1]:.5f} by gradients")
    middle.semilogy(naive, color=f"C{number}", label=f"{problem.n} weights")
    right.semilogy(descent, color=f"C{number}", label=f"{problem.n} weights")
left.loglog(*np.array(costs).T[:2], "ko:", label="to try each weight once")
left.loglog(*np.array(costs).T[::2], "ko-", label="value and gradient")
left.set(xlabel="number of weights", ylabel="seconds")
left.legend()
for axes, title in ((middle, "one weight at a time"), (right, "gradient descent")):
    axes.set(title=title, xlabel="evaluations", ylabel="mean squared error", ylim=(1e-4, 1))
figure.legend(*right.get_legend_handles_labels(), loc="outside lower center", ncols=4)
figure.savefig("why_gradients.png", dpi=100)
print("wrote why_gradients.png")

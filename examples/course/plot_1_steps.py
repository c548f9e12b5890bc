"""
1. Slope, step, learning rate
=============================

To go down a hill in fog, feel the slope and take a step against it. That is gradient descent. Here the hill is x**2.
"""

# %%
# The slope of x**2 at x is 2 x. A step goes against the slope, and its length is the slope times a number that we
# choose, the **learning rate**.

x, rate = 1.5, 0.2
for step in range(5):
    slope = 2.0 * x
    x = x - rate * slope
    print(f"step {step + 1}: slope {slope:6.3f}, now at x = {x:.4f}, x**2 = {x**2:.6f}")

# %%
# The same by gradopt. ``SGD`` is the rule above, ``Quadratic(2.0)`` is x**2, and ``record="x"`` keeps each x.

import matplotlib.pyplot as plt

from gradopt import SGD, InverseTimeDecay, optimize, plot, problems

plt.style.use("gradopt.plot.style")
bowl = problems.Quadratic(2.0)
run = optimize(bowl, [1.5], method=SGD(0.2), max_iter=5, gtol=0, record="x")
print(run.history.x.ravel().round(4))

# %%
# How long should a step be? Too short, and it takes for ever. Too long, and it jumps over the bottom, and further up
# on the other side each time.

figure, panels = plt.subplots(1, 4, figsize=(12, 3.2), layout="constrained", sharey=True)
for panel, rate, title in zip(
    panels, (0.02, 0.2, 0.9, 1.03), ("too small", "right", "it bounces", "it diverges"), strict=True
):
    run = optimize(bowl, [-1.5], method=SGD(rate), max_iter=12, gtol=0, record="x")
    plot.path(bowl, run, ax=panel, window=[(-2.2, 2.2)])
    panel.set(title=f"rate {rate}: {title}", ylim=(-0.3, 5))
    panel.get_legend().remove()
figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=5)

# %%
# In motion, with the rate that bounces.

run = optimize(bowl, [-1.5], method=SGD(0.9), max_iter=25, gtol=0, record="x")
film = plot.animate(bowl, run, interval=200)

# %%
# A rate may **decay**: long steps first, short ones later. Where the slope is known only roughly, as it is when a
# network learns, this is what brings the end to rest.

figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")
plot.schedule(0.9, 30, ax=axes, label="constant")
plot.schedule(InverseTimeDecay(0.9, decay=0.2), 30, ax=axes, label="decaying")
run = optimize(bowl, [-1.5], method=SGD(InverseTimeDecay(0.9, decay=0.2)), max_iter=30, gtol=0)
print(f"after 30 steps with decay: x = {run.x[0]:.1e}")
